"""Value and gradient of the Sinkhorn divergence, by this project and by OTT; others: `torch_divergences.py`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from ott.geometry import costs
from ott.tools import sinkhorn_divergence
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from lsdm_jax import transport
from lsdm_jax.settings import MATCHERS

SHIPPED = {name: MATCHERS["sinkhorn"][name] for name in ("max_iterations", "threshold")}
Result = tuple[float, np.ndarray]  # value and gradient by the first cloud


def clouds(points: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((2, points, features), dtype=np.float32)
    return np.float32(0.8) * x, y + np.float32(0.3)


def converged(x: np.ndarray, y: np.ndarray, epsilon: float) -> Result:
    """S_ε and its gradient in float64, no potential moving by more than 1e-9 any more."""
    (value, slope), (own_x, own_slope), (own_y, _) = (_entropic(*pair, epsilon) for pair in ((x, y), (x, x), (y, y)))
    return value - (own_x + own_y) / 2, slope - own_slope


def _entropic(x: np.ndarray, y: np.ndarray, epsilon: float) -> Result:
    cost = cdist(x.astype(float), y.astype(float))
    f, moved = np.zeros(len(x)), np.inf
    while moved > 1e-9:
        g = epsilon * (np.log(len(x)) - logsumexp((f[:, None] - cost) / epsilon, axis=0))
        new = epsilon * (np.log(len(y)) - logsumexp((g - cost) / epsilon, axis=1))
        new = (new + f) / 2 if x is y else new
        f, moved = new, np.abs(new - f).max()
    unit = np.exp((f[:, None] + g - cost) / epsilon) / cost.size / np.where(cost > 0, cost, np.inf)
    return f.mean() + g.mean(), unit.sum(axis=1, keepdims=True) * x - unit @ y


def ours(x: np.ndarray, y: np.ndarray, epsilon: float, **solver: float) -> Callable[[], tuple]:
    compiled = jax.jit(
        jax.value_and_grad(lambda x, y: transport.divergence(x, y, epsilon=epsilon, **SHIPPED | solver)[0])
    )
    on_device = jnp.asarray(x), jnp.asarray(y)
    return lambda: compiled(*on_device)


def plain_ott(x: np.ndarray, y: np.ndarray, epsilon: float) -> Callable[[], tuple]:
    def value(x: jax.Array, y: jax.Array) -> jax.Array:
        options = dict(cost_fn=costs.Euclidean(), epsilon=epsilon, solve_kwargs=SHIPPED)
        return sinkhorn_divergence.sinkdiv(x, y, **options)[0]

    compiled = jax.jit(jax.value_and_grad(value))
    return lambda: compiled(x, y)
