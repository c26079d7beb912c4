"""A rival of sampling: one network from the low-resolution image to pixels, which minimises the mean absolute error.

It predicts a median of the possible images and draws no samples. It has the size of the sampler that it is compared
with: the generator's hidden layers and the representation's decoder.
"""

import dataclasses

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Batch, Context, PyTree, Stage, Upstream
from experiment_jax.networks import grid
from experiment_jax.networks.autoencoder import Decoder, check_sides
from experiment_jax.networks.layers import trunk
from experiment_jax.networks.train_state import Descent, TrainState
from lsdm_jax.condition import ConditionEncoder, is_image
from lsdm_jax.matchers.places import PlacesGenerator


class Network(nn.Module):
    """Embedded low-resolution images `[batch, features]` -> images `[batch, height, width, channels]` in [-1, 1].

    Attributes:
        width: units of each hidden layer.
        depth: hidden layers after the encoder's.
        latent_size: dimension of what the decoder gets.
        decoder: to pixels.
        low_shape: (height, width, channels) of low-resolution images.
    """

    width: int
    depth: int
    latent_size: int
    decoder: Decoder
    low_shape: grid.Shape

    @nn.compact
    def __call__(self, condition: jax.Array) -> jax.Array:
        if shape := self.decoder.latent_shape:
            generator = PlacesGenerator("convolution", self.width, self.depth, 0, shape, low_shape=self.low_shape)
            return self.decoder(generator(jnp.zeros((condition.shape[0], 0)), condition))
        x = trunk(ConditionEncoder(0, self.width)(condition), self.width, self.depth)
        return self.decoder(nn.Dense(self.latent_size)(x))


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage; provides `regress`.

    Args:
        config: width, depth, latent_size, latent_shape (of a latent with places, which a generator by convolutions
            without noise makes; () for a vector of latent_size numbers), widths (of the decoder), optimiser, ema_decay.
        context: its model must degrade.

    Raises:
        UserError: no degradation before this stage, sizes that are not positive, or images whose sides cannot be halved
            often enough.
    """
    if not is_image(context):
        raise UserError(f"stages: {context.name} needs a stage before it that degrades, such as degradation")
    checks.positive(config, context.name, latent_size=64, width=512)
    check_sides(context.image_shape, config.widths, context.name)
    grid.check(config.latent_shape, context.image_shape, config.widths, context.name)
    return Regression(Descent.of(config, context), config, context)


@dataclasses.dataclass(frozen=True)
class Regression(Stage):
    """The network. For the settings see `stage`."""

    descent: Descent
    config: ConfigDict
    context: Context

    @flax.struct.dataclass
    class Frozen:
        """Parameters of the network."""

        network: PyTree

    @property
    def network(self) -> Network:
        config = self.config
        decoder = Decoder(config.widths, self.context.image_shape, latent_shape=config.latent_shape)
        return Network(config.width, config.depth, config.latent_size, decoder, self.context.model.low_shape)

    def init(self, key: jax.Array, batch: Batch, upstream: Upstream) -> TrainState:
        model = self.context.model
        low = model.embed(upstream, model.degrade(upstream, batch["images"]))
        return self.descent.init(self.network.init(key, low)["params"])

    def update(self, state: TrainState, batch: Batch, key: jax.Array, upstream: Upstream):
        model, images = self.context.model, batch["images"]
        keys = self.context.axis.draw(jax.random.split, key, (len(images),))
        low = model.noise(upstream, model.degrade(upstream, images), keys)

        def loss(params, statistics):
            predicted = self.network.apply({"params": params}, model.embed(upstream, low))
            return jnp.mean(jnp.abs(predicted - images)), (statistics, {})

        return self.descent.step(state, loss)

    def averaged(self, state: TrainState) -> dict[str, PyTree]:
        return {"network": state.average["params"]}

    @property
    def provides(self):
        return dict(regress=self.regress)

    def regress(self, params: Upstream, low: jax.Array) -> jax.Array:
        model = self.context.model
        images = self.network.apply({"params": params[self.context.name].network}, model.embed(params, low))
        return images if model.project is None else model.project(params, images, low)
