"""What makes an encoder or a decoder deeper at the same sides: residual blocks, and attention between places."""

from typing import Any

import flax.linen as nn
import jax

from experiment_jax.networks.norms import group_norm


class Residual(nn.Module):
    """x + convolution(silu(norm(convolution(silu(norm(x)))))): `[batch, height, width, channels]`, shape unchanged.

    The second convolution begins at 0, so that the block begins as the identity.

    Attributes:
        dtype: see `checks.compute_type`.
    """

    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        inner = nn.Conv(width, (3, 3), dtype=self.dtype)(nn.silu(group_norm(width)(x)))
        inner = nn.silu(group_norm(width)(inner))
        return x + nn.Conv(width, (3, 3), dtype=self.dtype, kernel_init=nn.initializers.zeros)(inner)


class Attention(nn.Module):
    """x + attention between the places of norm(x): `[batch, height, width, channels]`, shape unchanged.

    Attributes:
        dtype: see `checks.compute_type`.
    """

    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, height, width, channels = x.shape
        places = group_norm(channels)(x).reshape(batch, height * width, channels)
        last = nn.initializers.zeros
        seen = nn.MultiHeadDotProductAttention(num_heads=1, dtype=self.dtype, out_kernel_init=last)(places)
        return x + seen.reshape(x.shape)
