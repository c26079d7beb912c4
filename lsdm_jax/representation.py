"""Step 1 of LSDM: a latent space learnt from all images, paired or not.

min_{E, D} ‖Y − D(E(Y))‖ over every image Y (arXiv 2603.04223, step 1); no label is seen. The distance is a weighted sum
of mean absolute error, 1 − SSIM and a perceptual distance (`networks.losses`). What the kinds of representation add is
in `lsdm_jax.kinds`.
"""

import dataclasses
import math
from functools import partial

import flax
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.data import passes
from experiment_jax.data.split import View
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Batch, Context, PyTree, Stage, Upstream
from experiment_jax.networks import grid, losses
from experiment_jax.networks.autoencoder import UPSAMPLINGS, Decoder, Encoder, check_sides
from experiment_jax.networks.standardisation import Standardisation, StandardisedStage, moments
from experiment_jax.networks.train_state import Descent, TrainState
from lsdm_jax import settings
from lsdm_jax.kinds import KINDS, Kind


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage of a representation.

    Args:
        config: kind (one of `lsdm_jax.kinds.KINDS`, or "identity": latents are the pixels, and nothing is trained),
            latent_size, latent_shape (of a latent with places; () for a vector of latent_size numbers), widths, blocks,
            attention and upsampling (see `networks.autoencoder`), compute, l1, ssim and perceptual (weights of the
            reconstruction loss), optimiser, ema_decay, and a section of its own settings for each kind.
        context: see `Context`; its model provides features where `perceptual` is not 0.

    Raises:
        UserError: an unknown kind, a negative setting of its own, a perceptual loss without a stage that provides
            features, sizes that are not positive, images whose sides cannot be halved often enough, places that are not
            those of the deepest level, or layers whose spectral norm the kind cannot hold at 1.
    """
    checks.choice(config, context.name, "kind", (*KINDS, "identity"))
    if config.kind == "identity":
        return Identity(context)
    kind, own = KINDS[config.kind], config[config.kind]
    checks.at_least(own, f"{context.name}.{config.kind}", 0, **settings.KINDS[config.kind])
    if config.perceptual and context.model.features is None:
        raise UserError(
            f"{context.name}.perceptual={config.perceptual}: needs a stage before it that provides features; "
            f"type --config.{context.name}.perceptual=0"
        )
    checks.positive(config, context.name, latent_size=64)
    checks.at_least(config, context.name, 0, blocks=1)
    checks.choice(config, context.name, "upsampling", UPSAMPLINGS)
    check_sides(context.image_shape, config.widths, context.name)
    grid.check(config.latent_shape, context.image_shape, config.widths, context.name)
    if kind.spectral and (config.blocks or config.attention):
        raise UserError(
            f"{context.name}.kind={config.kind}: the spectral norms of residual blocks and of attention are not held "
            f"at 1; type --config.{context.name}.blocks=0 --config.{context.name}.attention=False"
        )
    own = dict(latent_shape=config.latent_shape, blocks=config.blocks, attention=config.attention)
    own["dtype"] = checks.compute_type(config, context.name)
    size = grid.latent_size(config.latent_shape, config.latent_size)
    encoder = Encoder(config.widths, kind.outputs * size, **own)
    decoder = Decoder(config.widths, context.image_shape, spectral=kind.spectral, upsampling=config.upsampling, **own)
    return Representation(kind, encoder, decoder, Descent.of(config, context), config, context)


@dataclasses.dataclass(frozen=True)
class Representation(StandardisedStage):
    """E and D. For the settings see `stage`.

    Latents are standardised as E(Y) -> (E(Y) − mean) / scale, with the mean of each coordinate and one scale for all of
    them, so that the mean square of a coordinate is 1 and the geometry stays that of the decoder: distances, transport
    plans and the decoder's Lipschitz constant change by one factor only. Of a law q(z | Y) the latent is the mean.
    """

    kind: Kind
    encoder: Encoder
    decoder: Decoder
    descent: Descent
    config: ConfigDict
    context: Context

    @flax.struct.dataclass
    class Frozen(Standardisation):
        """Parameters of E and D, D's statistics where it has any, and what latents are standardised by."""

        encoder: PyTree
        decoder: PyTree
        statistics: PyTree

    def init(self, key: jax.Array, batch: Batch, upstream: Upstream) -> TrainState:
        first, second = jax.random.split(key)
        decoder = self.decoder.init(second, jnp.zeros((1, self.latent_size)))
        params = {"encoder": self.encoder.init(first, batch["images"])["params"], "decoder": decoder.pop("params")}
        return self.descent.init(params, statistics=decoder)

    def update(self, state: TrainState, batch: Batch, key: jax.Array, upstream: Upstream):
        images, own = batch["images"], self.config[self.config.kind]
        weights = losses.Weights(self.config.l1, self.config.ssim, self.config.perceptual)
        features = partial(self.context.model.features, upstream) if weights.perceptual else None

        def loss(params, statistics):
            encoded = self.encoder.apply({"params": params["encoder"]}, images)
            code = self.kind.code(encoded, key, own, self.context)
            variables = {"params": params["decoder"], **statistics}
            decoded, statistics = self.decoder.apply(variables, code.latents, mutable=list(statistics))
            value, terms = losses.reconstruction(weights, images, decoded, features)
            return value + code.penalty, (statistics, {**terms, **code.metrics})

        return self.descent.step(state, loss)

    def averaged(self, state: TrainState) -> dict[str, PyTree]:
        return {**state.average["params"], "statistics": state.average["statistics"]}

    def raw_latents(self, own: Frozen, images: jax.Array) -> jax.Array:
        return self.encoder.apply({"params": own.encoder}, images)[:, : self.latent_size]

    def raw_images(self, own: Frozen, latents: jax.Array) -> jax.Array:
        return self.decoder.apply({"params": own.decoder, **own.statistics}, latents)

    @property
    def latent_size(self) -> int:
        return grid.latent_size(self.config.latent_shape, self.config.latent_size)

    @property
    def latent_shape(self) -> grid.Shape:
        return self.config.latent_shape

    @property
    def towards_normal(self) -> bool:
        return self.kind.prior


@dataclasses.dataclass(frozen=True)
class Identity(Stage):
    """Latents are the pixels, standardised: D(E(Y)) = Y, and matching takes place between images."""

    context: Context
    Frozen = Standardisation

    def finish(self, state: PyTree, view: View, upstream: Upstream) -> Standardisation:
        pixels = np.asarray(view.images).reshape(len(view), -1)
        return Standardisation(**moments(np.asarray(passes.to_float(pixels))))

    @property
    def provides(self):
        own = dict(encode=self.encode, decode=self.decode, decoder=None)
        return dict(**own, latent_size=math.prod(self.context.image_shape))

    def encode(self, params: Upstream, images: jax.Array) -> jax.Array:
        return params[self.context.name].standardise(images.reshape(images.shape[0], -1))

    def decode(self, params: Upstream, latents: jax.Array) -> jax.Array:
        return params[self.context.name].unstandardise(latents).reshape(-1, *self.context.image_shape)
