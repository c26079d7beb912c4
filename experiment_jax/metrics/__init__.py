"""Metrics as pure functions of arrays: features, latents or images in, floats out.

Nothing here reads a file, knows a data set or owns a feature extractor; who calls says which N, extractor and split.

    frechet     `Moments`, `moments`, `frechet_distance`
    kid         `kernel_distance`
    neighbours  `nearest_distance`, `precision_recall`, `fidelity`, `memorisation`
    transport   `w1_exact`, `w1_per_class`, `w1_sliced`, `sinkhorn_divergence`
    latents     `spread`, `near_zero`, `hoyer`
    restoration `psnr`, `spread_skill`, `energy_score`, `root_mean_square`
    directions  which way each is better, and what the main ones mean
    checks      `check_points`, `check_classes`: what cannot be measured is a `UserError`
"""

from experiment_jax.metrics.checks import check_classes, check_points
from experiment_jax.metrics.frechet import Moments, frechet_distance, moments
from experiment_jax.metrics.kid import kernel_distance
from experiment_jax.metrics.latents import hoyer, near_zero, spread
from experiment_jax.metrics.neighbours import fidelity, memorisation, nearest_distance, precision_recall
from experiment_jax.metrics.restoration import energy_score, psnr, root_mean_square, spread_skill
from experiment_jax.metrics.transport import sinkhorn_divergence, w1_exact, w1_per_class, w1_sliced

__all__ = [
    "Moments",
    "check_classes",
    "check_points",
    "energy_score",
    "fidelity",
    "frechet_distance",
    "hoyer",
    "kernel_distance",
    "memorisation",
    "moments",
    "near_zero",
    "nearest_distance",
    "precision_recall",
    "psnr",
    "root_mean_square",
    "sinkhorn_divergence",
    "spread",
    "spread_skill",
    "w1_exact",
    "w1_per_class",
    "w1_sliced",
]
