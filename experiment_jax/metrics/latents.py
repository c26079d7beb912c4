"""Whether samples keep the diversity of the real latents."""

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


def _within_class(points: np.ndarray, labels: np.ndarray, num_classes: int, name: str) -> float:
    """Mean over classes of √tr Σ_c; 0 where every class is one point."""
    check_labelled(points, labels, name)
    labels = check_classes(labels, name, num_classes, 2)
    points = points.astype(np.float64)
    return np.mean([np.sqrt(points[labels == c].var(axis=0, ddof=1).sum()) for c in range(num_classes)])
