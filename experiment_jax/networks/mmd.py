"""Maximum mean discrepancy of two clouds of points, by which WAEs hold latents to a law."""

import jax
import jax.numpy as jnp


def mmd(x: jax.Array, y: jax.Array, scale: float) -> jax.Array:
    """MMD² of two clouds `[n, d]` under the inverse multiquadratic kernel with C = `scale`, without bias (n > 1).

    1/(n(n−1)) Σ_{i≠j} (k(xᵢ, xⱼ) + k(yᵢ, yⱼ)) − 2/n² Σ_{ij} k(xᵢ, yⱼ), k(a, b) = C / (C + ‖a − b‖²); Tolstikhin et al.
    2018 (arXiv 1711.01558), algorithm 2. Below 0 by chance where the laws agree.
    """
    n = len(x)

    def k(a: jax.Array, b: jax.Array) -> jax.Array:
        return scale / (scale + jnp.sum((a[:, None] - b[None]) ** 2, axis=-1))

    own = jnp.sum(k(x, x) + k(y, y)) - 2.0 * n  # less the diagonals, k(x, x) = 1
    return own / (n * (n - 1)) - 2.0 * jnp.mean(k(x, y))
