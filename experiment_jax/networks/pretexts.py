"""Pretexts: what a network can learn from images without labels, so that its features see what the task needs.

A pretext makes of a batch of images what the network sees and an answer, reads the network's feature maps with a head,
and compares. To add one, write its class here, and its line in `perceptual.KINDS`.
"""

import dataclasses
from functools import partial
from typing import Any, ClassVar

import dm_pix as pix
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.devices.batch_axis import BatchAxis
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, Metrics
from experiment_jax.networks.augmentation import patches, shifted, turned


@dataclasses.dataclass(frozen=True)
class Pretext:
    """One task.

    Attributes:
        config: the section of the stage.
        context: see `Context`.
        head: list of feature maps `[batch, h, w, features]`, one a level -> output, float32.
    """

    config: ConfigDict
    context: Context
    head: ClassVar[Any]

    def __post_init__(self):
        """Raises UserError where the task cannot be set, of these images or by these settings."""

    @property
    def axis(self) -> BatchAxis:
        return self.context.axis

    def pose(self, images: jax.Array, key: jax.Array) -> tuple[jax.Array, Any]:
        """Images `[batch, height, width, channels]` -> those that the network sees, and what `loss` needs besides."""
        raise NotImplementedError

    def loss(self, output: jax.Array, answer: Any) -> tuple[jax.Array, Metrics]:
        """The loss of the head's output, scalar, and named scalars."""
        raise NotImplementedError


class Flat(nn.Dense):
    """A linear map of the deepest features, all places of them."""

    def __call__(self, maps: list[jax.Array]) -> jax.Array:
        return super().__call__(nn.silu(maps[-1]).reshape(len(maps[-1]), -1))


class Pixels(nn.Module):
    """A linear map of each place of each level to the pixels under it, summed over levels: images in all."""

    channels: int

    @nn.compact
    def __call__(self, maps: list[jax.Array]) -> jax.Array:
        sides = [2 ** (level + 1) for level in range(len(maps))]
        pixels = [nn.Dense(side**2 * self.channels)(nn.silu(x)) for side, x in zip(sides, maps, strict=True)]
        return sum(pix.depth_to_space(x, side) for side, x in zip(sides, pixels, strict=True))


class Rotations(Pretext):
    """By how many quarter turns was the image rotated? Gidaris et al. 2018 (arXiv 1803.07728)."""

    head = Flat(4)

    def __post_init__(self):
        height, width, _ = self.context.image_shape
        if height != width:
            name = self.context.name
            raise UserError(
                f"{name}.kind=rotations: {height}x{width} images cannot be turned; type --config.{name}.kind=masked"
            )

    def pose(self, images, key):
        quarters = partial(jax.random.randint, minval=0, maxval=4)
        turns = self.axis.draw(quarters, key, (len(images),))
        return turned(images, turns), turns

    def loss(self, output, answer):
        accuracy = jnp.mean(jnp.argmax(output, axis=-1) == answer)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(output, answer)), {"accuracy": accuracy}


class Masked(Pretext):
    """What was under the patches that were painted over? He et al. 2022 (arXiv 2111.06377).

    A share `masked.share` of each image's patches becomes 0. A patch is what one place of the deepest features covers.
    The answer is each patch less its mean and divided by its own deviation, as in table 1d of that paper: the faint
    texture of a plain cloth then counts as much as an outline.
    """

    def __post_init__(self):
        own, where = self.config.masked, f"{self.context.name}.masked"
        checks.positive(own, where, share=0.5)
        checks.below(own, where, "share", 1, 0.5)

    @property
    def head(self) -> Pixels:
        return Pixels(self.context.image_shape[-1])

    def pose(self, images, key):
        side = 2 ** len(self.config.widths)
        hidden = patches(key, self.config.masked.share, side, images, self.axis)
        return jnp.where(hidden, 0.0, images), (normalised(images, side), hidden)

    def loss(self, output, answer):
        """Mean absolute error of the hidden pixels."""
        target, hidden = answer
        return jnp.mean(jnp.abs(output - target), where=jnp.broadcast_to(hidden, target.shape)), {}


class Contrast(Pretext):
    """Which two of all views are of one image? Chen et al. 2020 (arXiv 2002.05709)."""

    head = Flat(64)

    def __post_init__(self):
        own, where = self.config.contrast, f"{self.context.name}.contrast"
        checks.positive(own, where, temperature=0.2)
        checks.at_least(own, where, 0, shift=0.1, light=0.2, noise=0.1, share=0.25)
        checks.below(own, where, "shift", 1, 0.1)
        checks.below(own, where, "share", 1, 0.25)

    def pose(self, images, key):
        """Two views of each image: `[2 · batch, …]`, first the first of all."""
        return jnp.concatenate([self.view(images, one) for one in jax.random.split(key)]), None

    def view(self, images: jax.Array, key: jax.Array) -> jax.Array:
        """Each image moved, made lighter or darker, with noise, and with some patches at 0."""
        own, (place, light, noise, hide) = self.config.contrast, jax.random.split(key, 4)
        images = shifted(images, round(own.shift * min(images.shape[1:3])), place, self.axis)
        images += own.light * self.axis.draw(jax.random.normal, light, (len(images), 1, 1, 1))
        images += own.noise * self.axis.draw(jax.random.normal, noise, images.shape)
        hidden = patches(hide, own.share, 2 ** len(self.config.widths), images, self.axis)
        return jnp.where(hidden, 0.0, images)

    def loss(self, output, answer):
        first, second = self.axis.gather(tuple(jnp.split(output, 2)))
        return nt_xent(first, second, self.config.contrast.temperature)


def normalised(images: jax.Array, side: int) -> jax.Array:
    """Images `[batch, height, width, channels]` of whose square patches each has mean 0 and mean square 1, a channel.

    Deviations below about 0.03 stay small: those of a plain patch are noise of its rounding.
    """
    batch, height, width, channels = images.shape
    x = images.reshape(batch, height // side, side, width // side, side, channels)
    x -= jnp.mean(x, axis=(2, 4), keepdims=True)
    x *= jax.lax.rsqrt(jnp.mean(x**2, axis=(2, 4), keepdims=True) + 1e-3)
    return x.reshape(images.shape)


def nt_xent(first: jax.Array, second: jax.Array, temperature: float) -> tuple[jax.Array, Metrics]:
    """The normalised, temperature-scaled cross-entropy of Chen et al. 2020, eq. 1: mean over all 2 · batch views.

    −log ( exp(s(i, j) / τ) / Σ_{k ≠ i} exp(s(i, k) / τ) ), where j is the other view of i's image and s is the cosine.

    Args:
        first: `[batch, features]`, one view of each image.
        second: likewise, the other views.
        temperature: τ.

    Returns:
        The loss, and the share of views of which the nearest other view is the right one.
    """
    views = jnp.concatenate([first, second])
    views *= jax.lax.rsqrt(jnp.sum(views**2, axis=-1, keepdims=True) + 1e-12)
    logits = jnp.where(jnp.eye(len(views), dtype=bool), -jnp.inf, views @ views.T / temperature)
    partner = jnp.roll(jnp.arange(len(views)), len(first))
    accuracy = jnp.mean(jnp.argmax(logits, axis=-1) == partner)
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, partner)), {"accuracy": accuracy}
