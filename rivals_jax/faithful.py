"""The networks of the rivals' public code, by their sizes; for accelerators. Recipes: `configs/rivals_faithful.py`.

They take and give images in [−1, 1], as all networks of this project: a sigmoid of the public code is a tanh here, the
same function but for its scale. BatchNorm takes the batch where its statistics may move, and its running mean
elsewhere. Images of 28×28, which Ghosh et al. pad to 32×32, are padded and cut inside the networks.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from experiment_jax.errors import UserError
from experiment_jax.networks.autoencoder import spectral_norm

LEAK = 0.2
INIT = nn.initializers.truncated_normal(0.02)
conv = partial(nn.Conv, kernel_size=(4, 4), strides=(2, 2), kernel_init=INIT)
conv_transposed = partial(nn.ConvTranspose, kernel_size=(4, 4), strides=(2, 2), kernel_init=INIT)
leaky = partial(nn.leaky_relu, negative_slope=LEAK)


def check_sides(image_shape: tuple[int, int, int], by: int, stage: str) -> None:
    """Raises UserError, for the section of `stage`, unless both sides are multiples of `by`."""
    height, width, _ = image_shape
    if height % by or width % by:
        raise UserError(
            f"{stage}.networks=faithful: halve {height}x{width} images until {by} of their pixels are one; type "
            f"--config.{stage}.networks=small"
        )


def batch_norm(network: nn.Module, norm: bool, momentum: float = 0.999, epsilon: float = 1e-3) -> Callable:
    """BatchNorm of a network's layer, or nothing; called inside a compact method of a module with `axis_name`."""
    if not norm:
        return lambda x: x
    still = not network.is_mutable_collection("batch_stats")
    return nn.BatchNorm(still, momentum=momentum, epsilon=epsilon, axis_name=network.axis_name)


class InfoGANGenerator(nn.Module):
    """InfoGAN's decoder: noise `[batch, noise]` -> images `[batch, height, width, channels]`.

    Attributes:
        image_shape: (height, width, channels), sides that are multiples of 4.
        norm: whether layers have BatchNorm.
        activation: of hidden layers.
        epsilon: of BatchNorm.
        axis_name: over which BatchNorm's statistics are taken under pmap.
    """

    image_shape: tuple[int, int, int]
    norm: bool
    activation: Callable[[jax.Array], jax.Array] = leaky
    epsilon: float = 1e-3
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        height, width, channels = self.image_shape
        norm = partial(batch_norm, self, self.norm, epsilon=self.epsilon)
        x = self.activation(norm()(nn.Dense(1024, kernel_init=INIT)(z)))
        x = self.activation(norm()(nn.Dense(128 * (height // 4) * (width // 4), kernel_init=INIT)(x)))
        x = self.activation(norm()(conv_transposed(64)(x.reshape(-1, height // 4, width // 4, 128))))
        return nn.tanh(conv_transposed(channels)(x))


class InfoGANFeatures(nn.Module):
    """InfoGAN's discriminator, without its last layer: images -> features `[batch, 1024]`; see `InfoGANGenerator`."""

    norm: bool
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        norm = partial(batch_norm, self, self.norm)
        x = leaky(conv(64)(images))
        x = leaky(norm()(conv(128)(x)))
        return leaky(norm()(nn.Dense(1024, kernel_init=INIT)(x.reshape(x.shape[0], -1))))


class BEGANEncoder(nn.Module):
    """The first half of BEGAN's discriminator: images -> latents `[batch, latent]`."""

    latent_size: int

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = conv(128)(leaky(conv(64)(images)))
        return leaky(nn.Dense(self.latent_size, kernel_init=INIT)(x.reshape(x.shape[0], -1)))


class BEGANDecoder(nn.Module):
    """The second half: latents -> images."""

    image_shape: tuple[int, int, int]

    @nn.compact
    def __call__(self, latents: jax.Array) -> jax.Array:
        height, width, channels = self.image_shape
        x = leaky(nn.Dense(128 * (height // 4) * (width // 4), kernel_init=INIT)(latents))
        x = leaky(conv_transposed(64)(x.reshape(-1, height // 4, width // 4, 128)))
        return nn.tanh(conv_transposed(channels)(x))


class TwoStageEncoder(nn.Module):
    """Dai & Wipf's encoder, InfoGAN's discriminator with spectral norms: images -> `[batch, outputs]`."""

    outputs: int

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        layer = partial(spectral_norm, self)
        x = leaky(layer(conv(128))(leaky(layer(conv(64))(images))))
        x = leaky(layer(nn.Dense(1024, kernel_init=INIT))(x.reshape(x.shape[0], -1)))
        return nn.Dense(self.outputs, kernel_init=INIT)(x)


class GhoshEncoder(nn.Module):
    """Ghosh et al.'s encoder: images -> `[batch, outputs]`.

    Attributes:
        outputs: how many numbers it gives.
        spectral: spectral norm on every layer.
        axis_name: see `InfoGANGenerator`.
    """

    outputs: int
    spectral: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        layer = partial(spectral_norm, self) if self.spectral else lambda each: each
        x = padded(images)
        for width in (128, 256, 512, 1024):
            x = nn.relu(batch_norm(self, True, 0.99)(layer(conv(width))(x)))
        return layer(nn.Dense(self.outputs))(x.reshape(x.shape[0], -1))


class GhoshDecoder(nn.Module):
    """Their decoder: latents -> images; for the attributes see `GhoshEncoder`."""

    image_shape: tuple[int, int, int]
    spectral: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, latents: jax.Array) -> jax.Array:
        height, width, channels = self.image_shape
        layer = partial(spectral_norm, self) if self.spectral else lambda each: each
        rows, columns = (-(-side // 32) * 8 for side in (height, width))
        x = layer(nn.Dense(rows * columns * 1024))(latents).reshape(-1, rows, columns, 1024)
        x = nn.relu(batch_norm(self, True, 0.99)(x))
        for out in (512, 256):
            x = nn.relu(batch_norm(self, True, 0.99)(layer(conv_transposed(out))(x)))
        x = nn.tanh(layer(conv_transposed(channels, strides=(1, 1)))(x))
        top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
        return x[:, top : top + height, left : left + width]


def padded(images: jax.Array) -> jax.Array:
    """Images with black around them, until both sides are multiples of 32."""
    sides = []
    for side in images.shape[1:3]:
        more = -side % 32
        sides.append((more // 2, more - more // 2))
    return jnp.pad(images, [(0, 0), *sides, (0, 0)], constant_values=-1.0)


class PGAEncoder(nn.Module):
    """LVPGA's encoder: images -> `[batch, outputs]`.

    Attributes:
        outputs: how many numbers it gives.
        colour: CIFAR-10's network, three levels and BatchNorm, in place of MNIST's, two levels and none.
        axis_name: see `InfoGANGenerator`.
    """

    outputs: int
    colour: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = images
        for width in (64, 128, 256) if self.colour else (64, 128):
            x = leaky(batch_norm(self, self.colour)(conv(width, kernel_size=(5, 5))(x)))
        x = x.reshape(x.shape[0], -1)
        if not self.colour:
            x = leaky(nn.Dense(1024, kernel_init=INIT)(x))
        return nn.Dense(self.outputs, kernel_init=INIT)(x)


class PGADecoder(nn.Module):
    """Its mirror image: latents -> images; for the attributes see `PGAEncoder`."""

    image_shape: tuple[int, int, int]
    colour: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, latents: jax.Array) -> jax.Array:
        height, width, channels = self.image_shape
        widths = (256, 128, 64) if self.colour else (128, 64)
        scale = 2 ** len(widths)
        norm = partial(batch_norm, self, self.colour)
        x = latents if self.colour else nn.relu(nn.Dense(1024, kernel_init=INIT)(latents))
        x = nn.Dense(widths[0] * (height // scale) * (width // scale), kernel_init=INIT)(x)
        x = nn.relu(norm()(x.reshape(-1, height // scale, width // scale, widths[0])))
        for out in widths[1:]:
            x = nn.relu(norm()(conv_transposed(out, kernel_size=(5, 5))(x)))
        return nn.tanh(conv_transposed(channels, kernel_size=(5, 5))(x))
