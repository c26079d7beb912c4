"""Fréchet distance between Gaussians fitted to two sets of features (FID when the features are Inception's)."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from experiment_jax.errors import UserError
from experiment_jax.metrics.checks import check_points


@dataclasses.dataclass(frozen=True)
class Moments:
    """First two moments of a set of features: all that a Fréchet distance needs, and small enough to keep.

    Attributes:
        count: number of points.
        mean: `[features]`, float64.
        covariance: `[features, features]`, float64, unbiased (divided by count − 1).
    """

    count: int
    mean: np.ndarray
    covariance: np.ndarray


def moments(batches: Iterable[np.ndarray]) -> Moments:
    """Mean and unbiased covariance of features that arrive in batches of any sizes.

    Each batch is centred at its own mean before it is squared and then merged by the pairwise update of Chan, Golub &
    LeVeque (1979), in float64, so neither the order of magnitude of the mean nor the batch size shows in the result.

    Args:
        batches: arrays `[batch, features]`; empty ones are skipped.

    Raises:
        UserError: fewer than two points altogether, or values that are not finite.
        ValueError: a batch is not `[batch, features]`, or batches differ in features.
    """
    count, mean, scatter = 0, 0.0, 0.0
    for batch in batches:
        batch = check_points(batch, "features", 0, allow_constant=True)
        if batch.ndim != 2 or (count and batch.shape[1] != mean.shape[0]):
            raise ValueError(f"features: expected [batch, features] with the same features, got {batch.shape}")
        if not len(batch):
            continue
        added = len(batch)
        batch = batch.astype(np.float64)
        batch_mean = batch.mean(axis=0)
        centred = batch - batch_mean
        shift = batch_mean - mean
        # Σ(x−μ)(x−μ)ᵀ over a union: both scatters, and the shift between the means at weight n·m/(n+m).
        scatter = scatter + centred.T @ centred + np.outer(shift, shift) * (count * added / (count + added))
        mean = mean + shift * (added / (count + added))
        count += added
    if count < 2:
        raise UserError(f"features: {count} points, at least 2 are needed; draw more (--num_samples)")
    return Moments(count, mean, scatter / (count - 1))


def frechet_distance(a: Moments, b: Moments) -> float:
    """|μ_a − μ_b|² + tr(A + B − 2 (A^½ B A^½)^½), in squared units of the features, never negative.

    Heusel et al. 2017, eq. 6 (their (AB)^½ has the same trace); Dowson & Landau 1982: the squared W₂ between the
    two Gaussians. It is biased upwards for few points: report the counts, compare only at equal ones.

    Raises:
        ValueError: the two have different numbers of features.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"moments of different features: {a.mean.shape[0]} and {b.mean.shape[0]}")
    # (A^½ B A^½)^½ has for eigenvalues the singular values of A^½ B^½. Taking these avoids squaring and then rooting,
    # which would turn rounding of 1e-16 into 1e-8 for every null direction; nothing here can become complex.
    overlap = np.linalg.norm(_factor(a.covariance).T @ _factor(b.covariance), "nuc")
    shift = a.mean - b.mean
    distance = shift @ shift + np.trace(a.covariance) + np.trace(b.covariance) - 2.0 * overlap
    return max(float(distance), 0.0)


def _factor(covariance: np.ndarray) -> np.ndarray:
    """F `[features, rank]` with F Fᵀ = covariance; F is A^½ up to a rotation, which singular values do not see."""
    values, vectors = np.linalg.eigh(covariance)
    # Null directions come back as ±rounding, whose root would count; the bound is that of numpy.linalg.matrix_rank.
    keep = values > max(values[-1], 0.0) * len(values) * np.finfo(np.float64).eps
    return vectors[:, keep] * np.sqrt(values[keep])
