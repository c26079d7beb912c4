"""Layers that several networks share. They are called inside a compact module and name their parameters there."""

import flax.linen as nn
import jax


def trunk(x: jax.Array, width: int, depth: int) -> jax.Array:
    """`depth` dense layers of `width` units, each with LayerNorm and SiLU: `[batch, features]` -> `[batch, width]`."""
    for _ in range(depth):
        x = nn.silu(nn.LayerNorm()(nn.Dense(width)(x)))
    return x
