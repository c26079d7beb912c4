"""Latents with places: maps `[batch, height, width, channels]` written as vectors, and back.

Only the networks at both ends of a latent see its maps. Matchers, metrics and exports take the vector. It goes channel
by channel: where an encoder gives several numbers for each coordinate, the first of all come before the second of all,
as they do without places.
"""

import math

import dm_pix as pix
import jax
import jax.numpy as jnp

from experiment_jax.config import checks
from experiment_jax.errors import UserError

Shape = tuple[int, ...]  # (height, width, channels); (): a vector, without places


def to_vectors(maps: jax.Array) -> jax.Array:
    """`[batch, height, width, channels]` -> `[batch, channels · height · width]`."""
    return jnp.moveaxis(maps, -1, 1).reshape(maps.shape[0], -1)


def to_maps(vectors: jax.Array, shape: Shape) -> jax.Array:
    """`[batch, channels · height · width]` -> `[batch, height, width, channels]`."""
    height, width, channels = shape
    return jnp.moveaxis(vectors.reshape(-1, channels, height, width), 1, -1)


def sides(shape: Shape, patch: int = 1) -> tuple[int, int]:
    """(height, width) of the grid of tokens."""
    return shape[0] // patch, shape[1] // patch


def to_tokens(vectors: jax.Array, shape: Shape, patch: int = 1) -> jax.Array:
    """`[batch, channels · height · width]` -> `[batch, tokens, channels · patch²]`: a token for each place, or for each
    square of patch × patch places."""
    maps = pix.space_to_depth(to_maps(vectors, shape), patch)
    return maps.reshape(maps.shape[0], -1, maps.shape[-1])


def from_tokens(tokens: jax.Array, shape: Shape, patch: int = 1) -> jax.Array:
    """The inverse of `to_tokens`."""
    maps = tokens.reshape(tokens.shape[0], *sides(shape, patch), -1)
    return to_vectors(pix.depth_to_space(maps, patch))


def latent_size(shape: Shape, otherwise: int) -> int:
    """How many numbers a latent of this shape has; of a vector, `otherwise`."""
    return math.prod(shape) if shape else otherwise


def check(shape: Shape, image_shape: tuple[int, int, int], widths: tuple[int, ...], stage: str) -> None:
    """Raises UserError, for the section of `stage`, unless a grid's places are those of the deepest level.

    Args:
        shape: of the latent.
        image_shape: (height, width, channels) of images, whose sides can be halved `len(widths)` times.
        widths: channels of each level.
        stage: its name.
    """
    if not shape:
        return
    height, width = (side // 2 ** len(widths) for side in image_shape[:2])
    channels = shape[2] if len(shape) == 3 and shape[2] > 0 else 16
    if len(shape) != 3 or tuple(shape[:2]) != (height, width) or shape[2] < 1:
        example = f"({height},{width},{channels})"
        raise UserError(
            f"{stage}.latent_shape={shape}: {len(widths)} levels of {stage}.widths leave {height}x{width} places of "
            f'{image_shape[0]}x{image_shape[1]} images; type --config.{stage}.latent_shape="{example}", or other widths'
        )
    checks.bounded(math.prod(shape), stage, "latent_shape", shape)
