"""Sections of a config for the rivals' stages: each setting with its default, so that a recipe names what differs."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from experiment_jax.config.sections import optimiser, stage
from rivals_jax.settings import KINDS, LOSSES


def gan(**own: Any) -> ConfigDict:
    """G and D; see `rivals_jax.gan`. `discriminator` may be a mapping of settings of its section."""
    discriminator = ConfigDict(dict(steps=1, optimiser=optimiser(learning_rate=4e-4, b1=0.5, clip=0.0)))
    discriminator.update(own.pop("discriminator", {}))
    settings = dict(
        view="all",
        batch_size=64,  # images of a step, shared by D's `steps` of it
        steps=4000,
        optimiser=optimiser(learning_rate=4e-4, b1=0.5, clip=0.0),
        loss="ns_gan",  # or lsgan, wgan_gp, began
        **_own(LOSSES, own),
        labels=False,  # whether G and D heed the class; with view="paired"
        networks="small",  # or faithful: those of the public code
        noise_size=64,
        widths=(32, 64),  # channels of each level; a level halves the sides
        features=128,  # of D's last layer but one
        discriminator=discriminator,
    )
    return stage("rivals_jax.gan:stage", **settings | own)


def autoencoder(**own: Any) -> ConfigDict:
    """E and D; see `rivals_jax.autoencoder`."""
    settings = dict(
        view="all",
        batch_size=128,
        steps=4000,
        optimiser=dict(learning_rate=1e-3, clip=0.0),
        kind="vae",  # or cv_vae, wae, rae_sn, two_stage_vae, lvpga
        **_own(KINDS, own),
        networks="small",  # or faithful: those of the public code
        latent_size=64,
        widths=(32, 64),  # channels of each level; a level halves the sides
    )
    return stage("rivals_jax.autoencoder:stage", **settings | own)


def _own(settings: Mapping[str, Mapping[str, Any]], changes: dict[str, Any]) -> dict[str, ConfigDict]:
    """The own section of each kind that has settings, with changes, which are taken out of `changes`."""
    return {name: ConfigDict({**own, **changes.pop(name, {})}) for name, own in settings.items() if own}


def as_gan(loss: str, **own: Any) -> dict[str, Any]:
    """What makes a recipe a GAN of that loss, by dotted key; `own` are settings of its stage."""
    return {"method": loss, "stages": ("gan",), "gan.loss": loss} | {f"gan.{key}": value for key, value in own.items()}


def as_autoencoder(kind: str, sampler: Mapping[str, Any], **own: Any) -> dict[str, Any]:
    """What makes a recipe an autoencoder of that kind whose latents are drawn by `sampler`; `own` as above."""
    settings = {"method": kind, "stages": ("autoencoder", "matching"), "autoencoder.kind": kind, **sampler}
    return settings | {f"autoencoder.{key}": value for key, value in own.items()}
