"""Perceptual features that need neither labels nor downloads.

A small network learns a pretext (`pretexts`), such as by how many quarter turns an image was rotated. What it needs for
that, edges and parts and their places, is what blurred images lack, and no label is seen: the same features serve runs
with many labels and with few. They are never the judge's, whose verdict would then be trained for.
"""

import dataclasses
from typing import Any

import dm_pix as pix
import flax
import flax.linen as nn
import jax
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Batch, Context, PyTree, Stage, Upstream
from experiment_jax.networks.norms import group_norm
from experiment_jax.networks.pretexts import Pretext, Rotations
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


def stage(config: ConfigDict, context: Context, pretext: type[Pretext] = Rotations) -> Stage:
    """The stage that learns the features, from images alone; `steps=0` leaves them random.

    Args:
        config: widths, compute, optimiser, ema_decay, and a section of its own settings for each pretext.
        context: see `Context`.
        pretext: what the network learns.

    Raises:
        UserError: images whose sides cannot be halved often enough, widths that are not positive, or what the pretext
            refuses.
    """
    checks.widths(config.widths, context.name)
    height, width, _ = context.image_shape
    if height % 2 ** len(config.widths) or width % 2 ** len(config.widths):
        raise UserError(
            f"{context.name}: {height}x{width} images cannot be halved {len(config.widths)} times; "
            f"leave the stage {context.name} out and set representation.perceptual=0"
        )
    network = Features(config.widths, checks.compute_type(config, context.name))
    return SelfSupervisedFeatures(network, pretext(config, context), Descent.of(config, context), config, context)


@dataclasses.dataclass(frozen=True)
class SelfSupervisedFeatures(Stage):
    """The network, and the head of its pretext. For the settings see `stage`."""

    network: Features
    pretext: Pretext
    descent: Descent
    config: ConfigDict
    context: Context

    @flax.struct.dataclass
    class Frozen:
        """Parameters of the network."""

        features: PyTree

    def init(self, key: jax.Array, batch: Batch, upstream: Upstream) -> TrainState:
        first, second = jax.random.split(key)
        maps, variables = self.network.init_with_output(first, batch["images"])
        head = self.pretext.head.init(second, maps)
        return self.descent.init({"features": variables["params"], "head": head["params"]})

    def update(self, state: TrainState, batch: Batch, key: jax.Array, upstream: Upstream):
        images, answer = self.pretext.pose(batch["images"], key)

        def loss(params, statistics):
            maps = self.network.apply({"params": params["features"]}, images)
            output = self.pretext.head.apply({"params": params["head"]}, maps)
            value, metrics = self.pretext.loss(output, answer)
            return value, (statistics, metrics)

        return self.descent.step(state, loss)

    def averaged(self, state: TrainState) -> dict[str, PyTree]:
        return {"features": state.average["params"]["features"]}

    @property
    def provides(self):
        return dict(features=self.features)

    def features(self, params: Upstream, images: jax.Array) -> list[jax.Array]:
        return self.network.apply({"params": params[self.context.name].features}, images)
