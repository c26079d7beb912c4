"""Changes of images that leave in them what they show: each image by numbers of its own."""

from functools import partial

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.devices.batch_axis import BatchAxis


def shifted(images: jax.Array, shift: int, key: jax.Array, axis: BatchAxis) -> jax.Array:
    """Each image `[batch, height, width, channels]` moved by up to `shift` pixels either way, its edges repeated."""
    if not shift:
        return images
    height, width, channels = images.shape[1:]
    padded = jnp.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="edge")
    moves = partial(jax.random.randint, minval=0, maxval=2 * shift + 1)
    offsets = axis.draw(moves, key, (len(images), 2))
    crop = jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), (height, width, channels)))
    return crop(padded, offsets)


def varied(images: jax.Array, by: ConfigDict, patch: int, key: jax.Array, axis: BatchAxis) -> jax.Array:
    """Each image `[batch, height, width, channels]` moved, made lighter or darker, with noise, and with patches at 0.

    Args:
        images: float32 in [-1, 1].
        by: shift (the farthest move, a share of the shorter side), light and noise (standard deviations), share (of the
            patches that are painted over).
        patch: side of a patch, in pixels.
        key: of all four.
        axis: the batch.
    """
    place, light, noise, hide = jax.random.split(key, 4)
    images = shifted(images, round(by.shift * min(images.shape[1:3])), place, axis)
    images += by.light * axis.draw(jax.random.normal, light, (len(images), 1, 1, 1))
    images += by.noise * axis.draw(jax.random.normal, noise, images.shape)
    return jnp.where(patches(hide, by.share, patch, images, axis), 0.0, images)


def turned(images: jax.Array, turns: jax.Array) -> jax.Array:
    """Each image `[batch, side, side, channels]` rotated by its own number of quarter turns int32 `[batch]`."""
    versions = jnp.stack([jnp.rot90(images, count, axes=(1, 2)) for count in range(4)])
    return versions[turns, jnp.arange(len(images))]


def patches(key: jax.Array, share: float, side: int, images: jax.Array, axis: BatchAxis) -> jax.Array:
    """Bool `[batch, height, width, 1]`: True in `share` of each image's square patches, to the nearest whole number.

    Where `share` is not 0 it is one patch at least.
    """
    batch, height, width, _ = images.shape
    rows, columns = height // side, width // side
    count = max(round(share * rows * columns), 1) if share else 0
    order = jnp.argsort(axis.draw(jax.random.uniform, key, (batch, rows * columns)), axis=-1)
    chosen = jnp.argsort(order, axis=-1) < count  # the rank of each patch
    chosen = chosen.reshape(batch, rows, columns, 1)
    return jnp.repeat(jnp.repeat(chosen, side, axis=1), side, axis=2)
