"""A rival of sampling: one network from the low-resolution image to pixels, which minimises the mean absolute error.

It predicts a median of the possible images and draws none. Its size is that of the sampler that it stands beside: the
generator's trunk, and the representation's decoder.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.config import checks as settings
from experiment_jax.devices import placement as parallel
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Batch, Context, Stage, Upstream
from experiment_jax.networks import optimiser, train_state
from experiment_jax.networks.autoencoder import Decoder, check_sides
from lsdm_jax.condition import Told, is_image

PyTree = Any


class Network(nn.Module):
    """Embedded low-resolution images `[batch, features]` -> images `[batch, height, width, channels]` in [-1, 1].

    Attributes:
        width: units of each hidden layer.
        depth: hidden layers after the encoder's.
        latent_size: dimension of what the decoder gets.
        decoder: to pixels.
    """

    width: int
    depth: int
    latent_size: int
    decoder: Decoder

    @nn.compact
    def __call__(self, condition: jax.Array) -> jax.Array:
        x = Told(0, self.width)(condition)
        for _ in range(self.depth):
            x = nn.silu(nn.LayerNorm()(nn.Dense(self.width)(x)))
        return self.decoder(nn.Dense(self.latent_size)(x))


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage; provides `regress`.

    Args:
        config: width, depth, latent_size, widths (of the decoder), optimiser, ema_decay.
        context: its model must degrade.

    Raises:
        UserError: no degradation before this stage, sizes that are not positive, or images whose sides cannot be halved
            often enough.
    """
    if not is_image(context):
        raise UserError(f"stages: {context.name} needs a stage before it that degrades, such as degradation")
    settings.check_positive(config, context.name, latent_size=64, width=512)
    check_sides(context.image_shape, config.widths, context.name)
    decoder = Decoder(config.widths, context.image_shape)
    network = Network(config.width, config.depth, config.latent_size, decoder)
    descent = optimiser.build(config.optimiser, context.total_steps)
    model = context.model

    def init(key: jax.Array, batch: Batch, upstream: Upstream) -> train_state.TrainState:
        low = model.embed(upstream, model.degrade(upstream, batch["images"]))
        return train_state.create(network.init(key, low)["params"], descent)

    def update(state: train_state.TrainState, batch: Batch, key: jax.Array, upstream: Upstream):
        images = batch["images"]
        keys = parallel.draw(lambda key, shape: jax.random.split(key, shape), key, (len(images),), context.axis_name)
        low = model.noise(upstream, model.degrade(upstream, images), keys)

        def loss(params, statistics):
            predicted = network.apply({"params": params}, model.embed(upstream, low))
            return jnp.mean(jnp.abs(predicted - images)), (statistics, {})

        return train_state.descend(state, loss, descent, config.ema_decay, context.axis_name)

    def averaged(state: train_state.TrainState) -> PyTree:
        return state.average["params"]

    def regress(params: Upstream, low: jax.Array) -> jax.Array:
        images = network.apply({"params": params[context.name]["params"]}, model.embed(params, low))
        return images if model.project is None else model.project(params, images, low)

    return Stage(
        init=init,
        update=update,
        averaged=averaged,
        finish=lambda state, view, upstream: {"params": averaged(state)},
        provides=dict(regress=regress),
    )
