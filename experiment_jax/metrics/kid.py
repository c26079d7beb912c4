"""Kernel distance between two sets of features (KID when the features are Inception's)."""

import numpy as np

from experiment_jax.metrics.checks import check_points, check_same_features


def kernel_distance(
    real: np.ndarray, generated: np.ndarray, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Mean and standard deviation over random subsets of the unbiased MMD² with kernel (x·y/d + 1)³.

    Bińkowski et al. 2018, eq. 4, with their kernel. Unbiased, hence negative at times for equal laws.

    Args:
        real: features `[n, d]`.
        generated: features `[m, d]`.
        subsets: how many pairs of subsets are drawn, each without replacement.
        subset_size: points in each; shrinks to the smaller set where that has fewer. That set then enters every subset
            whole, and the standard deviation no longer shows its share of the noise.
        seed: of the draw.

    Returns:
        Mean and population standard deviation of the subsets' MMD² (not the standard error of the mean).

    Raises:
        UserError: fewer than two points, or values that are not finite.
        ValueError: sets of different features, `subsets` < 1 or `subset_size` < 2.
    """
    real = check_points(real, "real", 2, allow_constant=True)
    generated = check_points(generated, "generated", 2, allow_constant=True)
    check_same_features(real, generated, "real and generated")
    if subsets < 1 or subset_size < 2:
        raise ValueError(f"subsets = {subsets}, subset_size = {subset_size}: at least 1 and 2")
    size = min(subset_size, len(real), len(generated))
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        x = real[rng.choice(len(real), size, replace=False)]
        y = generated[rng.choice(len(generated), size, replace=False)]
        values.append(_mmd2(x.astype(np.float64), y.astype(np.float64)))
    return float(np.mean(values)), float(np.std(values))


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1.0) ** 3


def _mmd2(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased MMD² of `[m, d]` and `[m, d]`: pairs (i, i) are left out within a set and kept across the sets."""
    m = len(x)
    xx, yy = _kernel(x, x), _kernel(y, y)
    within = (xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)) / (m * (m - 1))
    return within - 2.0 * _kernel(x, y).mean()
