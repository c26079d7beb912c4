"""The stage that trains an autoencoder of Table 1. What it minimises is a file for each kind.

Samplers of its latents are LSDM's matchers, by name in a config: the prior, a mixture of normal laws, a second VAE.
"""

import dataclasses
from functools import partial

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.method.stage import Batch, Context, PyTree, Stage, Upstream
from experiment_jax.networks.autoencoder import check_sides
from experiment_jax.networks.standardisation import Standardisation, StandardisedStage
from experiment_jax.networks.train_state import Descent, TrainState
from rivals_jax import faithful, networks, settings
from rivals_jax.cv_vae import ConstantVarianceVAE
from rivals_jax.lvpga import PerceptualGenerative
from rivals_jax.networks import Autoencoder
from rivals_jax.objective import Objective
from rivals_jax.rae_sn import SpectralAutoencoder
from rivals_jax.two_stage_vae import FirstStageVAE
from rivals_jax.vae import VAE
from rivals_jax.wae import WassersteinAutoencoder

KINDS = {
    "vae": VAE,
    "cv_vae": ConstantVarianceVAE,
    "wae": WassersteinAutoencoder,
    "rae_sn": SpectralAutoencoder,
    "two_stage_vae": FirstStageVAE,
    "lvpga": PerceptualGenerative,
}


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage of an autoencoder.

    Args:
        config: kind (a name in KINDS) and a section of its own settings for each, networks ("small", or "faithful":
            those of the public code), latent_size, widths of the small networks, optimiser, ema_decay.
        context: see `Context`.

    Raises:
        UserError: an unknown kind or networks, negative settings, or images whose sides cannot be halved often enough.
    """
    name = context.name
    checks.choice(config, name, "kind", KINDS)
    checks.choice(config, name, "networks", ("small", "faithful"))
    checks.positive(config, name, latent_size=64)
    own = config.get(config.kind, ConfigDict())
    checks.at_least(own, f"{name}.{config.kind}", 0, **settings.KINDS[config.kind])
    objective = KINDS[config.kind](own, context.axis)
    parts = _small(config, context, objective) if config.networks == "small" else _faithful(config, context, objective)
    return AutoencoderStage(objective, Autoencoder(**parts), Descent.of(config, context), config, context)


@dataclasses.dataclass(frozen=True)
class AutoencoderStage(StandardisedStage):
    """E and D. For the settings see `stage`."""

    objective: Objective
    networks: Autoencoder
    descent: Descent
    config: ConfigDict
    context: Context

    @flax.struct.dataclass
    class Frozen(Standardisation):
        """Parameters of E and D, their statistics where they have any, and what latents are standardised by."""

        encoder: PyTree
        decoder: PyTree
        statistics: PyTree

    def init(self, key: jax.Array, batch: Batch, upstream: Upstream) -> TrainState:
        images = 0.5 * (batch["images"] + 1.0)
        made = nn.init(self.objective.loss, self.networks)(key, images, key, jnp.zeros((), jnp.int32))
        return self.descent.init(made.pop("params"), dict(made))

    def update(self, state: TrainState, batch: Batch, key: jax.Array, upstream: Upstream):
        images = 0.5 * (batch["images"] + 1.0)

        def loss(params: PyTree, statistics: PyTree):
            minimised = nn.apply(self.objective.loss, self.networks, mutable=list(statistics))
            (value, metrics), statistics = minimised({"params": params, **statistics}, images, key, state.step)
            return value, (statistics, metrics)

        return self.descent.step(state, loss)

    def averaged(self, state: TrainState) -> dict[str, PyTree]:
        params, statistics = state.average["params"], state.average["statistics"]
        return {"encoder": params["encoder"], "decoder": params["decoder"], "statistics": statistics}

    def raw_latents(self, own: Frozen, images: jax.Array) -> jax.Array:
        return self._apply(own, 0.5 * (images + 1.0), method="encode")[:, : self.config.latent_size]

    def raw_images(self, own: Frozen, latents: jax.Array) -> jax.Array:
        return 2.0 * self._apply(own, latents, method="decode") - 1.0

    @property
    def latent_size(self) -> int:
        return self.config.latent_size

    @property
    def towards_normal(self) -> bool:
        return self.objective.PRIOR

    def _apply(self, own: Frozen, values: jax.Array, method: str) -> jax.Array:
        params = {"encoder": own.encoder, "decoder": own.decoder}
        return self.networks.apply({"params": params, **own.statistics}, values, method=method)


def _small(config: ConfigDict, context: Context, objective: Objective) -> dict[str, nn.Module]:
    """E and D of the trunk that all systems share."""
    check_sides(context.image_shape, config.widths, context.name)
    outputs = objective.OUTPUTS * config.latent_size
    return networks.small_autoencoder(config.widths, context.image_shape, outputs, objective.SPECTRAL)


def _faithful(config: ConfigDict, context: Context, objective: Objective) -> dict[str, nn.Module]:
    """E and D of Ghosh et al., Dai & Wipf or Zhang et al."""
    shape, axis = context.image_shape, context.axis.name
    outputs, colour = objective.OUTPUTS * config.latent_size, context.image_shape[-1] > 1
    if config.kind == "two_stage_vae":
        faithful.check_sides(shape, 4, context.name)
        make = partial(faithful.InfoGANGenerator, norm=True, activation=nn.relu, epsilon=1e-5, axis_name=axis)
        return dict(encoder=faithful.TwoStageEncoder(outputs), decoder=make(shape))
    if config.kind == "lvpga":
        faithful.check_sides(shape, 8 if colour else 4, context.name)
        encoder = faithful.PGAEncoder(outputs, colour, axis)
        return dict(encoder=encoder, decoder=faithful.PGADecoder(shape, colour, axis))
    encoder = faithful.GhoshEncoder(outputs, objective.SPECTRAL, axis)
    return dict(encoder=encoder, decoder=faithful.GhoshDecoder(shape, objective.SPECTRAL, axis))
