"""Step 1 of LSDM: a latent space learnt from all images, paired or not.

min_{E, D} ‖Y − D(E(Y))‖ over every image Y (arXiv 2603.04223, step 1); no label is seen. What the kinds of
representation add to that is in `lsdm_jax.kinds`.
"""

import dataclasses
import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiment_jax.config import checks as settings
from experiment_jax.data import passes
from experiment_jax.data.split import View
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Batch, Context, Frozen, Stage, Upstream
from experiment_jax.networks import losses as reconstruction
from experiment_jax.networks import optimiser, train_state
from experiment_jax.networks.autoencoder import Decoder, Encoder, check_sides
from experiment_jax.networks.train_state import TrainState
from lsdm_jax.kinds import KINDS, Kind

PyTree = Any


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage of a representation.

    Args:
        config: kind (one of `lsdm_jax.kinds.KINDS`, or "identity": latents are the pixels, and nothing is trained),
            latent_size, widths, compute, l1, ssim and perceptual (weights of the reconstruction loss), optimiser,
            ema_decay, and what the kind itself reads: noise (autoencoder; standard deviation of what the decoder's
            inputs get in training, in units of the latents' own scale), kl (vae), mmd (wae), l2 (rae).
        context: see `Context`; its model provides features where `perceptual` is not 0.

    Raises:
        UserError: an unknown kind, a negative weight of its penalty, a perceptual loss without a stage that provides
            features, sizes that are not positive, or images whose sides cannot be halved often enough.
    """
    settings.check_choice(config, context.name, "kind", (*KINDS, "identity"))
    if config.kind == "identity":
        return identity(context)
    kind = KINDS[config.kind]
    if kind.weight:
        settings.check_at_least(config, context.name, 0, **{kind.weight: 0.05})
    if not settings.is_off(config.perceptual) and context.model.features is None:
        raise UserError(
            f"{context.name}.perceptual={config.perceptual}: needs a stage before it that provides features; "
            f"type --config.{context.name}.perceptual=0"
        )
    settings.check_positive(config, context.name, latent_size=64)
    check_sides(context.image_shape, config.widths, context.name)
    dtype = settings.compute_type(config, context.name)
    encoder = Encoder(config.widths, kind.outputs * config.latent_size, dtype)
    decoder = Decoder(config.widths, context.image_shape, kind.spectral, dtype)
    descent = optimiser.build(config.optimiser, context.total_steps)
    own = Representation(kind, encoder, decoder, descent, config, context)
    provides = dict(encode=own.encode, decode=own.decode, latent_size=config.latent_size)
    if kind.prior:
        provides["prior"] = own.prior
    return Stage(init=own.init, update=own.update, averaged=own.averaged, finish=own.finish, provides=provides)


@dataclasses.dataclass(frozen=True)
class Representation:
    """E and D, and what does not change in training; for the settings see `stage`.

    Latents are standardised as E(Y) -> (E(Y) − mean) / scale, with the mean of each coordinate and one scale for all of
    them, so that the mean square of a coordinate is 1 and the geometry stays that of the decoder: distances, transport
    plans and the decoder's Lipschitz constant change by one factor only. Of a law q(z | Y) the latent is the mean.
    """

    kind: Kind
    encoder: Encoder
    decoder: Decoder
    descent: optax.GradientTransformation
    config: ConfigDict
    context: Context

    def init(self, key: jax.Array, batch: Batch, upstream: Upstream) -> TrainState:
        first, second = jax.random.split(key)
        latents = jnp.zeros((1, self.config.latent_size))
        decoder = self.decoder.init(second, latents)
        params = {"encoder": self.encoder.init(first, batch["images"])["params"], "decoder": decoder.pop("params")}
        return train_state.create(params, self.descent, statistics=decoder)

    def update(self, state: TrainState, batch: Batch, key: jax.Array, upstream: Upstream):
        images = batch["images"]
        weights = reconstruction.Weights(self.config.l1, self.config.ssim, self.config.perceptual)
        features = None if settings.is_off(weights.perceptual) else partial(self.context.model.features, upstream)

        def loss(params, statistics):
            code = self.kind.code(self._apply_encoder(params, images), key, self.config, self.context)
            variables = {"params": params["decoder"], **statistics}
            decoded, statistics = self.decoder.apply(variables, code.latents, mutable=list(statistics))
            value, terms = reconstruction.loss(weights, images, decoded, features)
            return value + code.penalty, (statistics, {**terms, **code.metrics})

        return train_state.descend(state, loss, self.descent, self.config.ema_decay, self.context.axis_name)

    def averaged(self, state: TrainState) -> PyTree:
        """{"encoder", "decoder"} and, where D has any, its statistics, by the name of their collection."""
        return {**state.average["params"], **state.average["statistics"]}

    def finish(self, state: TrainState, view: View, upstream: Upstream) -> Frozen:
        params = self.averaged(state)
        encode = jax.jit(lambda images: self._latents(params, passes.to_float(images)))
        return {"params": params, **moments(passes.over(encode, view.images, batch_size=500))}

    def encode(self, params: Upstream, images: jax.Array) -> jax.Array:
        own = params[self.context.name]
        return standardise(own, self._latents(own["params"], images))

    def decode(self, params: Upstream, latents: jax.Array) -> jax.Array:
        own = params[self.context.name]
        statistics = {name: value for name, value in own["params"].items() if name not in ("encoder", "decoder")}
        return self.decoder.apply({"params": own["params"]["decoder"], **statistics}, unstandardise(own, latents))

    def prior(self, params: Upstream) -> tuple[jax.Array, jax.Array]:
        """N(0, I) of the latents as E gives them, standardised as they are: its mean `[latent]` and deviation."""
        own = params[self.context.name]
        return standardise(own, jnp.zeros(self.config.latent_size)), 1.0 / own["scale"]

    def _apply_encoder(self, params: PyTree, images: jax.Array) -> jax.Array:
        return self.encoder.apply({"params": params["encoder"]}, images)

    def _latents(self, params: PyTree, images: jax.Array) -> jax.Array:
        return self._apply_encoder(params, images)[:, : self.config.latent_size]


def identity(context: Context) -> Stage:
    """Latents are the pixels, standardised: D(E(Y)) = Y, and matching takes place between images."""

    def encode(params: Upstream, images: jax.Array) -> jax.Array:
        return standardise(params[context.name], images.reshape(len(images), -1))

    def decode(params: Upstream, latents: jax.Array) -> jax.Array:
        return unstandardise(params[context.name], latents).reshape(-1, *context.image_shape)

    def finish(state: PyTree, view: View, upstream: Upstream) -> Frozen:
        return moments(np.asarray(passes.to_float(np.asarray(view.images).reshape(len(view), -1))))

    return Stage.untrained(finish, dict(encode=encode, decode=decode, latent_size=math.prod(context.image_shape)))


def moments(latents: np.ndarray) -> Frozen:
    """Of latents `[N, latent]`, or images: the mean of each coordinate and the scale of all, to be standardised by."""
    latents = latents.astype(np.float64)
    mean = latents.mean(axis=0)
    scale = np.sqrt(np.mean((latents - mean) ** 2))
    return {"mean": mean.astype(np.float32), "scale": scale.astype(np.float32)}


def standardise(own: Frozen, latents: jax.Array) -> jax.Array:
    """(z − mean) / scale, of latents `[…, latent]` as E gives them."""
    return (latents - own["mean"]) / own["scale"]


def unstandardise(own: Frozen, latents: jax.Array) -> jax.Array:
    """The inverse of `standardise`: latents as D takes them."""
    return latents * own["scale"] + own["mean"]
