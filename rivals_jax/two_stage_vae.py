"""The first stage of the 2-Stage VAE: a VAE that learns how far decoded pixels may be off (Dai & Wipf 2019, arXiv
1903.05789, section 2 and 3).

E ‖x − D(z)‖² / (2γ²) + d log γ + ½ d log 2π + KL( N(μ, σ²) ‖ N(0, I) ) for d pixels, one γ for all of them. The second
stage, a VAE of these latents, is the `vae` matcher.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from experiment_jax.method.stage import Metrics
from rivals_jax.networks import Autoencoder
from rivals_jax.objective import Objective, kl_to_standard_normal


@dataclasses.dataclass(frozen=True)
class FirstStageVAE(Objective):
    """It has no settings of its own."""

    OUTPUTS = 2

    def loss(
        self, networks: Autoencoder, images: jax.Array, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        mu, log_sigma = jnp.split(networks.encode(images), 2, axis=-1)
        sigma, log_gamma = jnp.exp(log_sigma), networks.log_gamma()
        decoded = networks.decode(mu + sigma * self.normal(key, mu))
        square, kl = (
            jnp.mean(jnp.sum((images - decoded) ** 2, axis=(1, 2, 3))),
            jnp.mean(kl_to_standard_normal(mu, sigma)),
        )
        pixels = math.prod(images.shape[1:])
        likelihood = 0.5 * square * jnp.exp(-2.0 * log_gamma) + pixels * (log_gamma + 0.5 * math.log(2.0 * math.pi))
        return likelihood + kl, {"square_error": square, "kl": kl, "gamma": jnp.exp(log_gamma)}
