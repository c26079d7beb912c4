"""Encoder E and decoder D, for square or oblong images whose sides can be halved `len(widths)` times.

Pixels are folded into channels before a convolution (encoder). Sides double by unfolding channels after one (decoder),
which is many times cheaper on CPU than transposed convolutions, or by repeating pixels before one, see UPSAMPLINGS.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import dm_pix as pix
import flax.linen as nn
import jax

from experiment_jax.config import checks
from experiment_jax.errors import UserError
from experiment_jax.networks import grid
from experiment_jax.networks.blocks import Attention, Residual
from experiment_jax.networks.norms import group_norm

# How a decoder doubles the sides. Each of the four pixels that are unfolded has weights of its own, and where they
# differ, a pattern of 2×2 pixels lies over the image; it shows on small natural images. Repeated pixels share weights.
UPSAMPLINGS = ("unfold", "repeat")


class Encoder(nn.Module):
    """E: images `[batch, height, width, channels]` -> latents `[batch, latent_size]`, not yet standardised.

    Attributes:
        widths: channels of each level; every level halves the sides.
        latent_size: dimension of the latent; of one with places a multiple of height · width.
        latent_shape: (height, width, channels) of a latent with places, which are those of the deepest level: each sees
            the field around it alone, see `grid`. (): a vector, each coordinate of which sees the whole image.
        blocks: residual blocks at each level.
        attention: whether places of the deepest level attend to each other.
        spectral: see `Decoder`.
        dtype: see `checks.compute_type`.
    """

    widths: tuple[int, ...]
    latent_size: int
    latent_shape: grid.Shape = ()
    blocks: int = 0
    attention: bool = False
    spectral: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = images
        layer, norm = (partial(spectral_norm, self), _no_norm) if self.spectral else (_as_it_is, group_norm)
        for width in self.widths:
            x = pix.space_to_depth(x, 2)
            x = nn.silu(norm(width)(layer(nn.Conv(width, (3, 3), dtype=self.dtype))(x)))
            x = _deeper(x, self.blocks, False, self.dtype)
        x = _deeper(x, 0, self.attention, self.dtype)
        if self.latent_shape:
            height, width, _ = self.latent_shape
            last = layer(nn.Conv(self.latent_size // (height * width), (1, 1), dtype=self.dtype))
            return grid.to_vectors(last(x)).astype(images.dtype)
        last = layer(nn.Dense(self.latent_size, dtype=self.dtype))
        return last(x.reshape(x.shape[0], -1)).astype(images.dtype)


class Decoder(nn.Module):
    """D: latents `[batch, latent_size]` -> images `[batch, height, width, channels]` in [-1, 1].

    Attributes:
        widths: channels of each level, in the encoder's order.
        image_shape: (height, width, channels).
        latent_shape: see `Encoder`.
        blocks: see `Encoder`.
        attention: see `Encoder`.
        spectral: divide the weights of each layer, as a matrix, by their largest singular value (Miyato et al. 2018,
            arXiv 1802.05957), estimated by power iteration in the collection "batch_stats", which moves where it is
            mutable. Activations are then not normalised: that would divide by their size, and bound nothing.
        dtype: see `checks.compute_type`.
    """

    widths: tuple[int, ...]
    image_shape: tuple[int, int, int]
    latent_shape: grid.Shape = ()
    blocks: int = 0
    attention: bool = False
    spectral: bool = False
    upsampling: str = "unfold"
    dtype: Any = None

    @nn.compact
    def __call__(self, latents: jax.Array) -> jax.Array:
        height, width, channels = self.image_shape
        scale = 2 ** len(self.widths)
        deepest = self.widths[-1]
        conv = partial(nn.Conv, kernel_size=(3, 3), dtype=self.dtype)
        layer, norm = (partial(spectral_norm, self), _no_norm) if self.spectral else (_as_it_is, group_norm)

        def doubled(x: jax.Array, features: int) -> jax.Array:
            if self.upsampling == "repeat":
                return layer(conv(features))(x.repeat(2, axis=1).repeat(2, axis=2))
            return pix.depth_to_space(layer(conv(4 * features))(x), 2)

        if self.latent_shape:
            x = layer(conv(deepest))(grid.to_maps(latents, self.latent_shape))
        else:
            x = layer(nn.Dense(height // scale * (width // scale) * deepest, dtype=self.dtype))(latents)
            x = x.reshape(-1, height // scale, width // scale, deepest)
        x = nn.silu(norm(deepest)(x))
        x = nn.silu(norm(deepest)(layer(conv(deepest))(x)))
        x = _deeper(x, self.blocks, self.attention, self.dtype)
        for out in reversed(self.widths[:-1]):
            x = doubled(x, out)
            x = nn.silu(norm(out)(x))
            x = _deeper(x, self.blocks, False, self.dtype)
        x = doubled(x, channels)
        return nn.tanh(x.astype(latents.dtype))


def spectral_norm(network: nn.Module, layer: nn.Module) -> Callable[[jax.Array], jax.Array]:
    """A layer of a network with weights that are divided by their largest singular value, see `Decoder`; called inside
    a compact method."""
    return partial(nn.SpectralNorm(layer), update_stats=network.is_mutable_collection("batch_stats"))


def check_sides(image_shape: tuple[int, int, int], widths: tuple[int, ...], stage: str) -> None:
    """Raises UserError, for the section of `stage`, unless both sides can be halved `len(widths)` times, once at least,
    and the widths are positive."""
    height, width, _ = image_shape
    levels = len(widths)
    if not levels or height % 2**levels or width % 2**levels:
        fit = next((n for n in range(levels or 1, 0, -1) if height % 2**n == 0 and width % 2**n == 0), 0)
        example = str(tuple(widths[:fit]) or (32,)).replace(" ", "")
        advice = f"give {fit}, as in --config.{stage}.widths={example}" if fit else "use images with even sides"
        raise UserError(f"{stage}.widths={widths}: {height}x{width} images cannot be halved {levels} times; {advice}")
    checks.widths(widths, stage)


def _deeper(x: jax.Array, blocks: int, attention: bool, dtype: Any) -> jax.Array:
    """Maps after attention and residual blocks at their own sides."""
    x = Attention(dtype)(x) if attention else x
    for _ in range(blocks):
        x = Residual(dtype)(x)
    return x


def _no_norm(width: int) -> Callable[[jax.Array], jax.Array]:
    return lambda x: x


def _as_it_is(layer: nn.Module) -> nn.Module:
    return layer
