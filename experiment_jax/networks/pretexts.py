"""Pretexts: what a network can learn from images without labels, so that its features see what the task needs.

A pretext makes of a batch of images what the network sees and an answer, reads the network's feature maps with a head,
and compares. To add one, write its class here, and its line in `perceptual.KINDS`.
"""

import dataclasses
from functools import partial
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.devices.batch_axis import BatchAxis
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, Metrics
from experiment_jax.networks.augmentation import turned, varied


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


class Rotations(Pretext):
    """By how many quarter turns was the image rotated? Gidaris et al. 2018 (arXiv 1803.07728)."""

    head = Flat(4)

    def __post_init__(self):
        height, width, _ = self.context.image_shape
        if height != width:
            name = self.context.name
            raise UserError(
                f"{name}.kind=rotations: {height}x{width} images cannot be turned; type --config.{name}.kind=contrast"
            )

    def pose(self, images, key):
        quarters = partial(jax.random.randint, minval=0, maxval=4)
        turns = self.axis.draw(quarters, key, (len(images),))
        return turned(images, turns), turns

    def loss(self, output, answer):
        accuracy = jnp.mean(jnp.argmax(output, axis=-1) == answer)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(output, answer)), {"accuracy": accuracy}


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
        """Each image changed by numbers of its own."""
        return varied(images, self.config.contrast, 2 ** len(self.config.widths), key, self.axis)

    def loss(self, output, answer):
        first, second = self.axis.gather(tuple(jnp.split(output, 2)))
        return nt_xent(first, second, self.config.contrast.temperature)


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
