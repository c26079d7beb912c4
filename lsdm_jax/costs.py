"""The cost ‖·‖₂ between two clouds, and the geometries by which OTT's solver sees it: a kernel, or blocks of rows."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from ott.geometry import costs, geometry, pointcloud

BLOCK = 256  # rows of a cost matrix that is not kept, at a time


@jax.tree_util.register_pytree_node_class
class Distance(costs.CostFn):
    """‖x − y‖₂, 0 where points coincide; its gradient is `lsdm_jax.transport.pulls`.

    OTT's own `costs.Euclidean` puts √d there as soon as it is differentiated (`ott.math.utils.norm`, 0.6.0), and its
    matrix of pairs is a sum of differences: where two such matrices share a cloud, as in a divergence, XLA keeps all
    n m d differences in memory (300 ms of a step for three matrices of 512 × 512 pairs in 64 dimensions; 1 ms here).
    """

    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.sqrt(jnp.sum((x - y) ** 2))

    def all_pairs(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """`[n, m]` by ‖x‖² + ‖y‖² − 2 x·y, which rounds off 1e-7 √d of the first two: nearer points are coincident.

        So clouds are to be centred, and β in a joint cost is to be finite in earnest: 1e4 drowns distances of 1.
        """
        norms = jnp.sum(x**2, axis=-1)[:, None] + jnp.sum(y**2, axis=-1)
        squared = norms - 2.0 * jnp.matmul(x, y.T, precision="highest")
        rounding = jnp.finfo(norms.dtype).eps * math.sqrt(x.shape[-1])
        return jnp.sqrt(jnp.where(squared > rounding * norms, squared, 0.0))


@jax.tree_util.register_pytree_node_class
class Kernel(geometry.Geometry):
    """A kernel as it is; OTT's raises it to the power ε/ε′ in every product, for the sake of schedules of ε."""

    def apply_kernel(self, vec: jax.Array, eps: Any = None, axis: int = 0) -> jax.Array:
        return self.kernel_matrix @ vec if axis == 1 else vec @ self.kernel_matrix


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
