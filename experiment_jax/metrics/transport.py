"""Wasserstein-1 distances between point clouds with uniform weights and the Euclidean ground cost."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import ot
import scipy.spatial.distance
from ott.geometry import costs
from ott.tools import sinkhorn_divergence as ott_divergence

from experiment_jax.errors import UserError
from experiment_jax.metrics.checks import check_classes, check_labelled, check_points, check_same_features

_DIRECTIONS = 64  # projected at once: 512 of them for 10,000 points would need a gigabyte


def w1_exact(x: np.ndarray, y: np.ndarray, *, max_iterations: int = 10_000_000) -> float:
    """Exact W₁, by the network simplex (Bonneel et al. 2011), in the units of the points.

    Both clouds' sampling noise is in it: compare only with a floor of the same counts.

    Args:
        x: points `[n, d]`.
        y: points `[m, d]`. The cost matrix takes 8 n m bytes.
        max_iterations: of the simplex.

    Raises:
        UserError: an empty cloud, or values that are not finite.
        ValueError: different features.
        RuntimeError: the simplex did not converge.
    """
    x, y = _clouds(x, y)
    cost = scipy.spatial.distance.cdist(x, y)
    with warnings.catch_warnings():  # the same complaint is in the log, and there it cannot be overlooked
        warnings.simplefilter("ignore", UserWarning)
        value, log = ot.emd2(ot.unif(len(x)), ot.unif(len(y)), cost, numItermax=max_iterations, log=True)
    if log["warning"] is not None:
        raise RuntimeError(f"exact W₁ of {len(x)} and {len(y)} points: {log['warning']}")
    return float(value)


def w1_per_class(
    x: np.ndarray, x_labels: np.ndarray, y: np.ndarray, y_labels: np.ndarray, num_classes: int
) -> np.ndarray:
    """Exact W₁ of each class separately: the conditional distances, which no joint distance bounds.

    Args:
        x: points `[n, d]`.
        x_labels: their classes `[n]`, integers.
        y: points `[m, d]`.
        y_labels: their classes `[m]`, integers.
        num_classes: how many classes there are.

    Returns:
        `[num_classes]`, float64.

    Raises:
        UserError: a class without points on either side, or values that are not finite.
        ValueError: different features, or labels that do not match their points.
        RuntimeError: the simplex did not converge.
    """
    x, y = _clouds(x, y)
    check_labelled(x, x_labels, "x")
    check_labelled(y, y_labels, "y")
    x_labels, y_labels = check_classes(x_labels, "x", num_classes), check_classes(y_labels, "y", num_classes)
    return np.array([w1_exact(x[x_labels == c], y[y_labels == c]) for c in range(num_classes)])


def w1_sliced(x: np.ndarray, y: np.ndarray, *, projections: int = 512, seed: int = 0) -> float:
    """Mean of the exact one-dimensional W₁ over random directions (Bonneel et al. 2015, with p = 1).

    It costs n log n where `w1_exact` costs n³, and is smaller: a shift by s in d dimensions has W₁ = |s| but sliced W₁
    = |s| · E|θ₁|, about |s| · √(2/(π d)).

    Args:
        x: points `[n, d]`.
        y: points `[m, d]`.
        projections: number of directions.
        seed: of the directions.

    Raises:
        UserError: an empty cloud, or values that are not finite.
        ValueError: different features.
    """
    x, y = _clouds(x, y)
    directions = np.random.default_rng(seed).normal(size=(x.shape[1], projections))
    directions /= np.linalg.norm(directions, axis=0)
    blocks = np.array_split(directions, -(-projections // _DIRECTIONS), axis=1)
    return float(np.concatenate([ot.wasserstein_1d(x @ block, y @ block, p=1) for block in blocks]).mean())


def sinkhorn_divergence(x: np.ndarray, y: np.ndarray, *, epsilon: float, max_iterations: int = 20_000) -> float:
    """Debiased entropic W₁: OT_ε(x, y) − ½ OT_ε(x, x) − ½ OT_ε(y, y) (Feydy et al. 2019, eq. 3), cost ‖·‖₂.

    Tends to W₁ as ε → 0 and to half the energy distance as ε → ∞. Solved in JAX's default
    precision, to marginals within 1e-3 of the mass.

    Args:
        x: points `[n, d]`.
        y: points `[m, d]`.
        epsilon: strength of the entropy, in the units of the points; a fixed number, never derived from the data, for
            else two clouds are measured with two rulers.
        max_iterations: of each of the three problems.

    Raises:
        UserError: ε is not positive, an empty cloud, or values that are not finite.
        ValueError: different features.
        RuntimeError: one of the three problems did not converge: ε is too small for these points.
    """
    if not epsilon > 0:
        raise UserError(f"epsilon = {epsilon}: must be positive; for ε = 0 use the exact distance")
    x, y = _clouds(x, y)
    # Distances ignore a common offset, float32 does not.
    centre = y.mean(axis=0)
    clouds = (jnp.asarray(cloud - centre) for cloud in (x, y))
    value, converged = _debiased(*clouds, float(epsilon), max_iterations)
    if not np.all(converged):
        raise RuntimeError(f"Sinkhorn with ε = {epsilon} did not converge in {max_iterations} iterations; raise ε")
    return float(value)


def _debiased_eager(x: jax.Array, y: jax.Array, epsilon: float, max_iterations: int) -> tuple[jax.Array, jax.Array]:
    """Divergence, and whether (x, y), (x, x), (y, y) converged `[3]`."""
    value, solved = ott_divergence.sinkdiv(
        x,
        y,
        cost_fn=costs.Euclidean(),
        epsilon=epsilon,
        solve_kwargs={"threshold": 1e-3, "max_iterations": max_iterations},
    )
    return value, jnp.stack(solved.converged)


_debiased = jax.jit(_debiased_eager, static_argnames="max_iterations")


def _clouds(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both clouds, checked, in float64."""
    x, y = check_points(x, "x", allow_constant=True), check_points(y, "y", allow_constant=True)
    check_same_features(x, y, "x and y")
    return x.astype(np.float64), y.astype(np.float64)
