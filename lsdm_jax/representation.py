"""Step 1 of LSDM: a latent space learnt from all images, paired or not.

min_{E, D} ‖Y − D(E(Y))‖ over every image Y (arXiv 2603.04223, step 1); no label is seen.
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiment_jax import optimiser, parallel, passes, reconstruction, settings, train_state
from experiment_jax.autoencoder import Decoder, Encoder, check_sides
from experiment_jax.data import View
from experiment_jax.errors import UserError
from experiment_jax.stage import Batch, Context, Frozen, Stage, Upstream
from experiment_jax.train_state import TrainState

PyTree = Any


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage of a representation.

    Args:
        config: kind ("autoencoder"), latent_size, widths, noise (standard deviation of what the decoder's inputs get
            in training, in units of the latents' own scale), l1, ssim and perceptual (weights of the loss),
            optimiser, ema_decay.
        context: see `Context`; its model provides features where `perceptual` is not 0.

    Raises:
        UserError: an unknown kind, a perceptual loss without a stage that provides features, or images whose sides
            cannot be halved often enough.
    """
    settings.check_choice(config, context.name, "kind", ("autoencoder",))
    if not settings.is_off(config.perceptual) and context.model.features is None:
        raise UserError(
            f"{context.name}.perceptual={config.perceptual}: needs a stage before it that provides features; "
            f"type --config.{context.name}.perceptual=0"
        )
    check_sides(context.image_shape, config.widths, context.name)
    encoder = Encoder(config.widths, config.latent_size)
    decoder = Decoder(config.widths, context.image_shape)
    descent = optimiser.build(config.optimiser, context.total_steps)
    own = Autoencoder(encoder, decoder, descent, config, context)
    return Stage(
        init=own.init,
        update=own.update,
        averaged=own.averaged,
        finish=own.finish,
        provides=dict(encode=own.encode, decode=own.decode, latent_size=config.latent_size),
    )


@dataclasses.dataclass(frozen=True)
class Autoencoder:
    """E and D, and what does not change in training; for the settings see `stage`.

    Latents are standardised as E(Y) -> (E(Y) − mean) / scale, with the mean of each coordinate and one scale for all of
    them, so that the mean square of a coordinate is 1 and the geometry stays that of the decoder: distances, transport
    plans and the decoder's Lipschitz constant change by one factor only.
    """

    encoder: Encoder
    decoder: Decoder
    descent: optax.GradientTransformation
    config: ConfigDict
    context: Context

    def init(self, key: jax.Array, batch: Batch, upstream: Upstream) -> TrainState:
        first, second = jax.random.split(key)
        latents = jnp.zeros((1, self.config.latent_size))
        params = {
            "encoder": self.encoder.init(first, batch["images"])["params"],
            "decoder": self.decoder.init(second, latents)["params"],
        }
        return train_state.create(params, self.descent)

    def update(self, state: TrainState, batch: Batch, key: jax.Array, upstream: Upstream):
        images = batch["images"]
        weights = reconstruction.Weights(self.config.l1, self.config.ssim, self.config.perceptual)
        features = None if settings.is_off(weights.perceptual) else partial(self.context.model.features, upstream)

        def loss(params, statistics):
            latents = self._apply_encoder(params, images)
            scale = _scale(latents, self.context.axis_name)
            # Noise in units of the latents' scale: the encoder cannot drown it by making latents large.
            noised = latents + self.config.noise * scale * jax.random.normal(key, latents.shape)
            decoded = self._apply_decoder(params, noised)
            value, terms = reconstruction.loss(weights, images, decoded, features)
            return value, (statistics, {**terms, "latent_scale": scale})

        return train_state.descend(state, loss, self.descent, self.config.ema_decay, self.context.axis_name)

    def averaged(self, state: TrainState) -> PyTree:
        return state.average["params"]

    def finish(self, state: TrainState, view: View, upstream: Upstream) -> Frozen:
        params = self.averaged(state)
        encode = jax.jit(lambda images: self._apply_encoder(params, passes.to_float(images)))
        latents = passes.over(encode, view.images, batch_size=500).astype(np.float64)
        mean = latents.mean(axis=0)
        scale = np.sqrt(np.mean((latents - mean) ** 2))
        return {"params": params, "mean": mean.astype(np.float32), "scale": scale.astype(np.float32)}

    def encode(self, params: Upstream, images: jax.Array) -> jax.Array:
        own = params[self.context.name]
        return (self._apply_encoder(own["params"], images) - own["mean"]) / own["scale"]

    def decode(self, params: Upstream, latents: jax.Array) -> jax.Array:
        own = params[self.context.name]
        return self._apply_decoder(own["params"], latents * own["scale"] + own["mean"])

    def _apply_encoder(self, params: PyTree, images: jax.Array) -> jax.Array:
        return self.encoder.apply({"params": params["encoder"]}, images)

    def _apply_decoder(self, params: PyTree, latents: jax.Array) -> jax.Array:
        return self.decoder.apply({"params": params["decoder"]}, latents)


def _scale(latents: jax.Array, axis_name: str | None) -> jax.Array:
    """√ of the mean square of the centred latents `[batch, latent]`, over the global batch."""
    mean = parallel.mean(jnp.mean(latents, axis=0), axis_name)
    return jnp.sqrt(parallel.mean(jnp.mean((latents - mean) ** 2), axis_name))
