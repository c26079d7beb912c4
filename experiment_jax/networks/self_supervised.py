"""Perceptual features that need neither labels nor downloads, and the distance in them.

A small network learns to tell by how many quarter turns an image was rotated (Gidaris et al. 2018). What it needs for
that, edges and parts and their places, is what blurred images lack, and no label is seen: the same features serve runs
with many labels and with few. They are never the judge's, whose verdict would then be trained for.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import dm_pix as pix
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiment_jax.config import checks as settings
from experiment_jax.devices import placement as parallel
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Batch, Context, Stage, Upstream
from experiment_jax.networks import optimiser, train_state
from experiment_jax.networks.norms import group_norm


class Features(nn.Module):
    """Images `[batch, height, width, channels]` -> feature maps, one a level, each at half the last one's sides.

    Attributes:
        widths: channels of each level.
        dtype: see `settings.compute_type`.
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


def distance(first: Sequence[jax.Array], second: Sequence[jax.Array]) -> jax.Array:
    """Mean over levels of the mean absolute difference of two lists of feature maps `[batch, h, w, features]`."""
    return jnp.mean(jnp.stack([jnp.mean(jnp.abs(a - b)) for a, b in zip(first, second, strict=True)]))


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage that learns the features, from images alone; `steps=0` leaves them random.

    Args:
        config: widths, compute, optimiser, ema_decay.
        context: see `Context`.

    Raises:
        UserError: images that are not square or whose sides cannot be halved often enough, or widths that are not
            positive.
    """
    settings.check_widths(config.widths, context.name)
    height, width, _ = context.image_shape
    if height != width or height % 2 ** len(config.widths):
        raise UserError(
            f"{context.name}: {height}x{width} images cannot be turned, or halved {len(config.widths)} times; "
            f"leave the stage {context.name} out and set representation.perceptual=0"
        )
    network, head = Features(config.widths, settings.compute_type(config, context.name)), nn.Dense(4)
    descent = optimiser.build(config.optimiser, context.total_steps)

    def init(key: jax.Array, batch: Batch, upstream: Upstream) -> train_state.TrainState:
        first, second = jax.random.split(key)
        params = network.init(first, batch["images"])["params"]
        deepest = jax.eval_shape(lambda p, x: network.apply({"params": p}, x)[-1], params, batch["images"])
        pooled = jnp.zeros((1, deepest.shape[1] * deepest.shape[2] * deepest.shape[3]))
        return train_state.create({"features": params, "head": head.init(second, pooled)["params"]}, descent)

    def update(state: train_state.TrainState, batch: Batch, key: jax.Array, upstream: Upstream):
        quarters = partial(jax.random.randint, minval=0, maxval=4)
        turns = parallel.draw(quarters, key, (len(batch["images"]),), context.axis_name)
        images = turned(batch["images"], turns)

        def loss(params, statistics):
            deepest = nn.silu(network.apply({"params": params["features"]}, images)[-1])
            logits = head.apply({"params": params["head"]}, deepest.reshape(len(images), -1))
            accuracy = jnp.mean(jnp.argmax(logits, axis=-1) == turns)
            value = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, turns))
            return value, (statistics, {"accuracy": accuracy})

        return train_state.descend(state, loss, descent, config.ema_decay, context.axis_name)

    def averaged(state: train_state.TrainState):
        return state.average["params"]

    def features(params, images: jax.Array) -> list[jax.Array]:
        return network.apply({"params": params[context.name]["params"]["features"]}, images)

    return Stage(
        init=init,
        update=update,
        averaged=averaged,
        finish=lambda state, view, upstream: {"params": averaged(state)},
        provides=dict(features=features),
    )


def turned(images: jax.Array, turns: jax.Array) -> jax.Array:
    """Each image `[batch, side, side, channels]` rotated by its own number of quarter turns int32 `[batch]`."""
    versions = jnp.stack([jnp.rot90(images, count, axes=(1, 2)) for count in range(4)])
    return versions[turns, jnp.arange(len(images))]
