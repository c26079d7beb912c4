"""The cost ‖·‖₂ between two clouds, and the geometries by which OTT's solver sees it: a kernel, or blocks of rows."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from ott.geometry import costs, geometry, pointcloud

BLOCK = 256  # rows of a cost matrix that is not kept, at a time


def centred(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Distances forget a common offset, float32 does not."""
    centre = jnp.mean(y, axis=0)
    return x - centre, y - centre


def diameter(x: jax.Array, y: jax.Array) -> jax.Array:
    """Of centred clouds; no two points are further apart."""
    return sum(jnp.sqrt(jnp.max(jnp.sum(z**2, axis=1))) for z in (x, y))


@jax.tree_util.register_pytree_node_class
class Distance(costs.CostFn):
    """‖x − y‖₂, 0 where points coincide, NaN where one is not finite; its gradient is `lsdm_jax.transport.pulls`.

    Of pairs (βφ(x), z) the first `fixed` coordinates are βφ(x). Their square is computed by itself, so that however
    large β is, it is exactly 0 where conditions are equal, and the distances of z beside it are as precise as ever.

    OTT's own `costs.Euclidean` puts √d there as soon as it is differentiated (`ott.math.utils.norm`, 0.6.0), and its
    matrix of pairs is a sum of differences: where two such matrices share a cloud, as in a divergence, XLA keeps all
    n m d differences in memory (300 ms of a step for three matrices of 512 × 512 pairs in 64 dimensions; 1 ms here).
    """

    def __init__(self, fixed: int = 0) -> None:
        super().__init__()
        self.fixed = fixed

    def tree_flatten(self) -> tuple[tuple, int]:
        return (), self.fixed

    @classmethod
    def tree_unflatten(cls, fixed: int, children: tuple) -> "Distance":
        return cls(fixed)

    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.sqrt(jnp.sum((x - y) ** 2))

    def all_pairs(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """`[n, m]`, of clouds that are to be centred; see `_squares`."""
        if not self.fixed:
            return jnp.sqrt(_squares(x, y))
        (of_x, x), (of_y, y) = (jnp.split(cloud, [self.fixed], axis=-1) for cloud in (x, y))
        return jnp.sqrt(_squares(of_x, of_y) + _squares(x, y))


def _squares(x: jax.Array, y: jax.Array) -> jax.Array:
    """‖x‖² + ‖y‖² − 2 x·y `[n, m]`, which rounds off 1e-7 √d of the first two: nearer points are coincident."""
    norms = jnp.sum(x**2, axis=-1)[:, None] + jnp.sum(y**2, axis=-1)
    squared = norms - 2.0 * jnp.matmul(x, y.T, precision="highest")
    rounding = jnp.finfo(norms.dtype).eps * math.sqrt(x.shape[-1])
    return jnp.where(squared <= rounding * norms, 0.0, squared)  # NaN is not below anything, and stays


@jax.tree_util.register_pytree_node_class
class Kernel(geometry.Geometry):
    """A kernel as it is; OTT's raises it to the power ε/ε′ in every product, for the sake of schedules of ε."""

    def apply_kernel(self, vec: jax.Array, eps: Any = None, axis: int = 0) -> jax.Array:
        product = functools.partial(jnp.matmul, precision="highest")  # accelerators round to 10 bits by default
        return product(self.kernel_matrix, vec) if axis == 1 else product(vec, self.kernel_matrix)


@jax.tree_util.register_pytree_node_class
class Blocks(pointcloud.PointCloud):
    """Clouds without a cost matrix: BLOCK rows of it at a time. (`batch_size` of OTT 0.6.0 fails under jax 0.10.)"""

    def apply_lse_kernel(
        self, f: jax.Array, g: jax.Array, eps: jax.Array, vec: None = None, axis: int = 0
    ) -> tuple[jax.Array, jax.Array]:
        """ε log Σⱼ exp((gⱼ − Cᵢⱼ)/ε) `[n]` for axis 1, the same of f `[m]` for axis 0; and its sign."""
        rows, columns, potential = (self.x, self.y, g) if axis == 1 else (self.y, self.x, f)

        def row(point: jax.Array) -> jax.Array:
            cost = self.cost_fn.all_pairs(point[None], columns)[0]
            return eps * jax.nn.logsumexp((potential - cost) / eps)

        return jax.lax.map(row, rows, batch_size=BLOCK), jnp.ones(1)
