"""Whether samples keep the diversity of the real latents, and how sparse latents are."""

import numpy as np

from experiment_jax.errors import UserError
from experiment_jax.metrics.checks import check_classes, check_labelled, check_points, check_same_features


def spread(
    samples: np.ndarray, sample_labels: np.ndarray, real: np.ndarray, real_labels: np.ndarray, num_classes: int
) -> float:
    """Within-class standard deviation of samples over that of real latents: 1 is honest, less is shrinkage.

    Each is the mean over classes of √tr Σ_c, Σ_c the unbiased covariance of class c. An average of n independent
    latents of one class has 1/√n; Fréchet distances to reconstructions and accuracy do not see that loss.

    Args:
        samples: latents `[n, d]`.
        sample_labels: their classes `[n]`, integers.
        real: latents `[m, d]`.
        real_labels: their classes `[m]`, integers.
        num_classes: how many classes there are.

    Raises:
        UserError: a class with fewer than two points, values that are not finite, or real classes without any spread.
        ValueError: different features, or labels that do not match their points.
    """
    samples = check_points(samples, "samples", 2, allow_constant=True)
    real = check_points(real, "real", 2, allow_constant=True)
    check_same_features(samples, real, "samples and real")
    reference = _within_class(real, real_labels, num_classes, "real")
    if reference == 0.0:
        raise UserError("real: each class is one point repeated; the representation has collapsed, train it again")
    return float(_within_class(samples, sample_labels, num_classes, "samples") / reference)


def near_zero(latents: np.ndarray, tolerance: float = 0.01) -> float:
    """Share of coordinates that carry next to nothing: |z| < tolerance · RMS, the RMS of all coordinates of all rows.

    Relative, so that no scale of the latents shows. A tolerance of 0.01 counts what a rectifier cut off and little
    more: of normal coordinates 0.8%, of half-normal ones cut at 0 about half.

    Args:
        latents: `[n, d]`.
        tolerance: in units of the RMS.

    Raises:
        UserError: no rows, values that are not finite, or latents that are all 0.
    """
    latents = _not_all_zero(latents)
    return float(np.mean(np.abs(latents) < tolerance * np.sqrt(np.mean(latents**2))))


def hoyer(latents: np.ndarray) -> float:
    """Mean over rows of Hoyer's sparsity (√d − ‖z‖₁/‖z‖₂) / (√d − 1): 1 for a one-hot row, 0 for equal magnitudes.

    Hoyer 2004, section 3.1. Not centred: where coordinates share an offset, it counts. A row of zeros has no sparsity
    and is left out of the mean. Normal coordinates have about 1 − √(2/π) = 0.2 where d is large.

    Args:
        latents: `[n, d]` with d ≥ 2.

    Raises:
        UserError: no rows, values that are not finite, or latents that are all 0.
        ValueError: d = 1, where every row is as sparse as it is dense.
    """
    latents = _not_all_zero(latents)
    root = np.sqrt(latents.shape[1])
    if root == 1.0:
        raise ValueError("latents have one coordinate: their sparsity is not defined")
    rows = latents[np.any(latents != 0.0, axis=1)]
    ratio = np.abs(rows).sum(axis=1) / np.linalg.norm(rows, axis=1)
    return float(np.mean((root - ratio) / (root - 1.0)))


def _not_all_zero(latents: np.ndarray) -> np.ndarray:
    latents = check_points(latents, "latents", allow_constant=True).astype(np.float64)
    if not latents.any():
        raise UserError("latents: all are 0; the representation has collapsed, train it again")
    return latents


def _within_class(points: np.ndarray, labels: np.ndarray, num_classes: int, name: str) -> float:
    """Mean over classes of √tr Σ_c; 0 where every class is one point."""
    check_labelled(points, labels, name)
    labels = check_classes(labels, name, num_classes, 2)
    points = points.astype(np.float64)
    return np.mean([np.sqrt(points[labels == c].var(axis=0, ddof=1).sum()) for c in range(num_classes)])
