"""Inception-v3 (Szegedy et al. 2016, arXiv 1512.00567) as TensorFlow's graph of 2015-12-05 has it, for inference.

It differs from later versions of the network, and from torchvision's, in how it pools; so other weights do not fit it.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

SIZE = 299  # sides of the images that the network sees
FEATURES = 2048

pool_max = functools.partial(nn.max_pool, window_shape=(3, 3))
# TensorFlow's mean over a window counts only the pixels that are inside the image.
pool_mean = functools.partial(nn.avg_pool, window_shape=(3, 3), strides=(1, 1), padding="SAME", count_include_pad=False)


def _convolution(name: str, x: jax.Array, width: int, *kernel: int, stride: int = 1, padding: str = "SAME"):
    """A convolution of `kernel` (height, width), the batch norm that is folded into it, and ReLU."""
    # "highest": GPUs and TPUs would round float32 inputs to fewer bits.
    conv = nn.Conv(width, kernel, stride, padding, precision="highest", name=name)
    return nn.relu(conv(x))


class Inception(nn.Module):
    """Images `[batch, 299, 299, 3]` in [-1, 1] -> `[batch, 2048]`. Names are those of the file of weights."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = _convolution("Conv2d_1a_3x3", x, 32, 3, 3, stride=2, padding="VALID")
        x = _convolution("Conv2d_2a_3x3", x, 32, 3, 3, padding="VALID")
        x = _convolution("Conv2d_2b_3x3", x, 64, 3, 3)
        x = pool_max(x, strides=(2, 2))
        x = _convolution("Conv2d_3b_1x1", x, 80, 1, 1)
        x = _convolution("Conv2d_4a_3x3", x, 192, 3, 3, padding="VALID")
        x = pool_max(x, strides=(2, 2))
        for name, width in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = BlockA(width, name=name)(x)
        x = BlockB(name="Mixed_6a")(x)
        for name, width in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
            x = BlockC(width, name=name)(x)
        x = BlockD(name="Mixed_7a")(x)
        x = BlockE(pool_mean, name="Mixed_7b")(x)
        x = BlockE(functools.partial(pool_max, strides=(1, 1), padding="SAME"), name="Mixed_7c")(x)
        return jnp.mean(x, axis=(1, 2))


class BlockA(nn.Module):
    """`[batch, 35, 35, any]` -> `[batch, 35, 35, 224 + width]`; `width` channels are of the pooled branch."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        one = _convolution("branch1x1", x, 64, 1, 1)
        five = _convolution("branch5x5_1", x, 48, 1, 1)
        five = _convolution("branch5x5_2", five, 64, 5, 5)
        three = _convolution("branch3x3dbl_1", x, 64, 1, 1)
        three = _convolution("branch3x3dbl_2", three, 96, 3, 3)
        three = _convolution("branch3x3dbl_3", three, 96, 3, 3)
        pooled = _convolution("branch_pool", pool_mean(x), self.width, 1, 1)
        return jnp.concatenate([one, five, three, pooled], axis=-1)


class BlockB(nn.Module):
    """`[batch, 35, 35, 288]` -> `[batch, 17, 17, 768]`."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        single = _convolution("branch3x3", x, 384, 3, 3, stride=2, padding="VALID")
        double = _convolution("branch3x3dbl_1", x, 64, 1, 1)
        double = _convolution("branch3x3dbl_2", double, 96, 3, 3)
        double = _convolution("branch3x3dbl_3", double, 96, 3, 3, stride=2, padding="VALID")
        return jnp.concatenate([single, double, pool_max(x, strides=(2, 2))], axis=-1)


class BlockC(nn.Module):
    """`[batch, 17, 17, 768]` -> the same shape; `width` channels inside the factorised 7×7 convolutions."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        one = _convolution("branch1x1", x, 192, 1, 1)
        seven = _convolution("branch7x7_1", x, self.width, 1, 1)
        seven = _convolution("branch7x7_2", seven, self.width, 1, 7)
        seven = _convolution("branch7x7_3", seven, 192, 7, 1)
        double = _convolution("branch7x7dbl_1", x, self.width, 1, 1)
        double = _convolution("branch7x7dbl_2", double, self.width, 7, 1)
        double = _convolution("branch7x7dbl_3", double, self.width, 1, 7)
        double = _convolution("branch7x7dbl_4", double, self.width, 7, 1)
        double = _convolution("branch7x7dbl_5", double, 192, 1, 7)
        pooled = _convolution("branch_pool", pool_mean(x), 192, 1, 1)
        return jnp.concatenate([one, seven, double, pooled], axis=-1)


class BlockD(nn.Module):
    """`[batch, 17, 17, 768]` -> `[batch, 8, 8, 1280]`."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        three = _convolution("branch3x3_1", x, 192, 1, 1)
        three = _convolution("branch3x3_2", three, 320, 3, 3, stride=2, padding="VALID")
        seven = _convolution("branch7x7x3_1", x, 192, 1, 1)
        seven = _convolution("branch7x7x3_2", seven, 192, 1, 7)
        seven = _convolution("branch7x7x3_3", seven, 192, 7, 1)
        seven = _convolution("branch7x7x3_4", seven, 192, 3, 3, stride=2, padding="VALID")
        return jnp.concatenate([three, seven, pool_max(x, strides=(2, 2))], axis=-1)


class BlockE(nn.Module):
    """`[batch, 8, 8, any]` -> `[batch, 8, 8, 2048]`.

    Attributes:
        pool: over 3×3, keeps the shape. The graph has the mean in its first E and the maximum in its last.
    """

    pool: Callable[[jax.Array], jax.Array]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        one = _convolution("branch1x1", x, 320, 1, 1)
        three = _convolution("branch3x3_1", x, 384, 1, 1)
        flat = _convolution("branch3x3_2a", three, 384, 1, 3)
        tall = _convolution("branch3x3_2b", three, 384, 3, 1)
        double = _convolution("branch3x3dbl_1", x, 448, 1, 1)
        double = _convolution("branch3x3dbl_2", double, 384, 3, 3)
        double_flat = _convolution("branch3x3dbl_3a", double, 384, 1, 3)
        double_tall = _convolution("branch3x3dbl_3b", double, 384, 3, 1)
        pooled = _convolution("branch_pool", self.pool(x), 192, 1, 1)
        return jnp.concatenate([one, flat, tall, double_flat, double_tall, pooled], axis=-1)
