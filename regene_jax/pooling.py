"""Maxima over 2×2 pixels, with a gradient that a CPU computes at the speed of its memory.

`flax.linen.max_pool` gives the same values and gradients. Its gradient, and that of maxima of slices, make XLA's CPU
backend look for the largest pixel once more, by scattering or by padding; here its place is kept.
"""

import jax
import jax.numpy as jnp


def max_pool(x: jax.Array) -> jax.Array:
    """Maxima over 2×2, an odd last row or column dropped: `[batch, height, width, channels]` -> half the sides.

    The gradient of a maximum goes to the first of the pixels that attain it, row by row.
    """
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    return _even(x[:, :height, :width])


@jax.custom_vjp
def _even(x: jax.Array) -> jax.Array:
    return _forward(x)[0]


def _forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The maxima, and their places int8 in their squares: 0 1 above 2 3."""
    (a, b), (c, d) = ([x[:, row::2, column::2] for column in (0, 1)] for row in (0, 1))
    above, below = jnp.maximum(a, b), jnp.maximum(c, d)
    places = jnp.where(above >= below, jnp.where(a >= b, 0, 1), jnp.where(c >= d, 2, 3))
    return jnp.maximum(above, below), places.astype(jnp.int8)


def _backward(places: jax.Array, gradient: jax.Array) -> tuple[jax.Array]:
    batch, height, width, channels = gradient.shape
    there = places[:, :, None, :, None] == jnp.arange(4, dtype=jnp.int8).reshape(2, 1, 2, 1)
    spread = jnp.where(there, gradient[:, :, None, :, None], 0)  # [batch, height, 2, width, 2, channels]
    return (spread.reshape(batch, 2 * height, 2 * width, channels),)


_even.defvjp(_forward, _backward)
