"""Metrics as pure functions of arrays: features, latents or images in, floats out.

Nothing here reads a file, knows a data set or owns a feature extractor; who calls says which N, extractor and split.

    frechet     `Moments`, `moments`, `frechet_distance`, `rank_deficient`
    kid         `kernel_distance`
    checks      `check_points`, `check_classes`: what cannot be measured is a `UserError`
"""

from experiment_jax.metrics.checks import check_classes, check_points
from experiment_jax.metrics.frechet import Moments, frechet_distance, moments, rank_deficient
from experiment_jax.metrics.kid import kernel_distance

__all__ = [
    "Moments",
    "check_classes",
    "check_points",
    "frechet_distance",
    "kernel_distance",
    "moments",
    "rank_deficient",
]
