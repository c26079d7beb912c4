"""The kinds of representation: what each gives its decoder in training, and what it adds to the reconstruction loss.

Each kind minimises ‖Y − D(z)‖ + penalty over E and D. A kind is one function of E's output, which gives z and the
penalty. To add one, write that function here, add its line to KINDS, and its settings to `lsdm_jax.settings`.

The reconstruction loss is a mean over pixels. So penalties are divided by the number of pixels where their papers set
them against a likelihood, or against the squared error of a whole image.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.devices.batch_axis import BatchAxis
from experiment_jax.method.stage import Context, Metrics
from experiment_jax.networks.mmd import mmd


class Code(NamedTuple):
    """What comes of E's output in training.

    Attributes:
        latents: z `[batch, latent]`, what the decoder gets.
        penalty: scalar, added to the reconstruction loss.
        metrics: named scalars.
    """

    latents: jax.Array
    penalty: jax.Array | float
    metrics: Metrics


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of representation with trained networks.

    Attributes:
        code: (E's output `[batch, outputs · latent]`, key, the kind's own settings, context) -> Code.
        outputs: how many numbers E gives for each coordinate of a latent; the first is the latent that is used.
        spectral: whether D's layers have spectral norm 1.
        prior: whether latents are trained towards N(0, I).
    """

    code: Callable[[jax.Array, jax.Array, ConfigDict, Context], Code]
    outputs: int = 1
    spectral: bool = False
    prior: bool = False


def autoencoder(encoded: jax.Array, key: jax.Array, own: ConfigDict, context: Context) -> Code:
    """z = E(Y) + noise · s · ε with s the latents' own scale, through which the gradient flows; no penalty.

    The noise is in units of s: the encoder cannot escape it by making latents large.
    """
    s = scale(encoded, context.axis)
    z = encoded + own.noise * s * context.axis.draw(jax.random.normal, key, encoded.shape)
    return Code(z, 0.0, {"latent_scale": s})


def vae(encoded: jax.Array, key: jax.Array, own: ConfigDict, context: Context) -> Code:
    """z = μ(Y) + σ(Y) ⊙ ε and kl · KL( N(μ, σ²) ‖ N(0, I) ), KL = ½ Σ (μ² + σ² − 1 − log σ²) in nats an image.

    Kingma & Welling 2014 (arXiv 1312.6114), eq. 10 and appendix B. With the loss mean |Y − D(z)| alone this is the
    negative evidence lower bound, times kl / pixels, of the likelihood Laplace(D(z), kl): `kl` is how far a pixel may
    be off.
    """
    mu, log_variance = jnp.split(encoded, 2, axis=-1)
    z = mu + jnp.exp(0.5 * log_variance) * context.axis.draw(jax.random.normal, key, mu.shape)
    kl = jnp.mean(0.5 * jnp.sum(mu**2 + jnp.exp(log_variance) - 1.0 - log_variance, axis=-1))
    return Code(z, own.kl * kl / _pixels(context), {"kl": kl, "latent_scale": scale(mu, context.axis)})


def wae(encoded: jax.Array, key: jax.Array, own: ConfigDict, context: Context) -> Code:
    """z = E(Y) and mmd · MMD²( q_Z, N(0, I) ) with k(x, y) = C / (C + ‖x − y‖²), C = 2 · latent_size.

    Tolstikhin et al. 2018 (arXiv 1711.01558), algorithm 2 and section 4; λ is `mmd`, σ_z = 1.
    """
    z = context.axis.gather(encoded)  # a law is compared, not an image: the whole batch at once
    value = mmd(z, jax.random.normal(key, z.shape), scale=2.0 * z.shape[-1])
    metrics = {"mmd": value, "latent_scale": scale(encoded, context.axis)}
    return Code(encoded, own.mmd * value / _pixels(context), metrics)


def rae(encoded: jax.Array, key: jax.Array, own: ConfigDict, context: Context) -> Code:
    """z = E(Y) and l2 · ½ ‖z‖², with the spectral norms of D's layers at 1.

    Ghosh et al. 2020 (arXiv 1903.12436), eq. 11 with RAE-SN; β is `l2`. Each half needs the other: D may not be steep,
    so small latents say little.
    """
    half_square = 0.5 * jnp.mean(jnp.sum(encoded**2, axis=-1))
    metrics = {"latent_half_square": half_square, "latent_scale": scale(encoded, context.axis)}
    return Code(encoded, own.l2 * half_square / _pixels(context), metrics)


KINDS = {
    "autoencoder": Kind(autoencoder),
    "vae": Kind(vae, outputs=2, prior=True),
    "wae": Kind(wae, prior=True),
    "rae": Kind(rae, spectral=True),
}


def scale(latents: jax.Array, axis: BatchAxis) -> jax.Array:
    """√ of the mean square of the centred latents `[batch, latent]`, over the whole batch."""
    mean = axis.mean(jnp.mean(latents, axis=0))
    return jnp.sqrt(axis.mean(jnp.mean((latents - mean) ** 2)))


def _pixels(context: Context) -> int:
    """Numbers an image."""
    height, width, channels = context.image_shape
    return height * width * channels
