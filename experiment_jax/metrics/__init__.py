"""Metrics as pure functions of arrays: features, latents or images in, floats out.

Nothing here reads a file, knows a data set or owns a feature extractor; who calls says which N, extractor and split.

    checks      `check_points`, `check_classes`: what cannot be measured is a `UserError`
"""

from experiment_jax.metrics.checks import check_classes, check_points

__all__ = [
    "check_classes",
    "check_points",
]
