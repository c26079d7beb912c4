"""Perceptual features that need neither labels nor downloads.

A small network learns to tell by how many quarter turns an image was rotated (Gidaris et al. 2018). What it needs for
that, edges and parts and their places, is what blurred images lack, and no label is seen: the same features serve runs
with many labels and with few. They are never the judge's, whose verdict would then be trained for.
"""

import dataclasses
from functools import partial
from typing import Any

import dm_pix as pix
import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Batch, Context, PyTree, Stage, Upstream
from experiment_jax.networks.norms import group_norm
from experiment_jax.networks.train_state import Descent, TrainState


class Features(nn.Module):
    """Images `[batch, height, width, channels]` -> feature maps, one a level, each at half the last one's sides.

    Attributes:
        widths: channels of each level.
        dtype: see `checks.compute_type`.
    """

    widths: tuple[int, ...]
    dtype: Any = None

    @nn.compact
    def __call__(self, images: jax.Array) -> list[jax.Array]:
        x, levels = images, []
        for width in self.widths:
            x = pix.space_to_depth(x, 2)
            x = group_norm(width, most=4)(nn.Conv(width, (3, 3), dtype=self.dtype)(x))
            levels.append(x)
            x = nn.silu(x)
        return levels


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage that learns the features, from images alone; `steps=0` leaves them random.

    Args:
        config: widths, compute, optimiser, ema_decay.
        context: see `Context`.

    Raises:
        UserError: images that are not square or whose sides cannot be halved often enough, or widths that are not
            positive.
    """
    checks.widths(config.widths, context.name)
    height, width, _ = context.image_shape
    if height != width or height % 2 ** len(config.widths):
        raise UserError(
            f"{context.name}: {height}x{width} images cannot be turned, or halved {len(config.widths)} times; "
            f"leave the stage {context.name} out and set representation.perceptual=0"
        )
    network = Features(config.widths, checks.compute_type(config, context.name))
    return SelfSupervisedFeatures(network, Descent.of(config, context), config, context)


@dataclasses.dataclass(frozen=True)
class SelfSupervisedFeatures(Stage):
    """The network, and a head that tells the rotation from its deepest features. For the settings see `stage`."""

    network: Features
    descent: Descent
    config: ConfigDict
    context: Context

    @flax.struct.dataclass
    class Frozen:
        """Parameters of the network."""

        features: PyTree

    @property
    def head(self) -> nn.Dense:
        return nn.Dense(4)

    def init(self, key: jax.Array, batch: Batch, upstream: Upstream) -> TrainState:
        first, second = jax.random.split(key)
        params = self.network.init(first, batch["images"])["params"]
        deepest = jax.eval_shape(lambda p, x: self.network.apply({"params": p}, x)[-1], params, batch["images"])
        pooled = jnp.zeros((1, deepest.shape[1] * deepest.shape[2] * deepest.shape[3]))
        return self.descent.init({"features": params, "head": self.head.init(second, pooled)["params"]})

    def update(self, state: TrainState, batch: Batch, key: jax.Array, upstream: Upstream):
        quarters = partial(jax.random.randint, minval=0, maxval=4)
        turns = self.context.axis.draw(quarters, key, (len(batch["images"]),))
        images = turned(batch["images"], turns)

        def loss(params, statistics):
            deepest = nn.silu(self.network.apply({"params": params["features"]}, images)[-1])
            logits = self.head.apply({"params": params["head"]}, deepest.reshape(len(images), -1))
            accuracy = jnp.mean(jnp.argmax(logits, axis=-1) == turns)
            value = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, turns))
            return value, (statistics, {"accuracy": accuracy})

        return self.descent.step(state, loss)

    def averaged(self, state: TrainState) -> dict[str, PyTree]:
        return {"features": state.average["params"]["features"]}

    @property
    def provides(self):
        return dict(features=self.features)

    def features(self, params: Upstream, images: jax.Array) -> list[jax.Array]:
        return self.network.apply({"params": params[self.context.name].features}, images)


def turned(images: jax.Array, turns: jax.Array) -> jax.Array:
    """Each image `[batch, side, side, channels]` rotated by its own number of quarter turns int32 `[batch]`."""
    versions = jnp.stack([jnp.rot90(images, count, axes=(1, 2)) for count in range(4)])
    return versions[turns, jnp.arange(len(images))]
