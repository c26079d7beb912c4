"""LVPGA, perceptual generative autoencoders (Zhang et al. 2020, arXiv 1906.10335): latents are matched by the encoder.

With z = μ(x) + σ(x) ε, z′ ~ N(0, I) and h = E ∘ D, all terms means over pixels or coordinates:

    E minimises  rec + a (h(z′) − z′)² + b L_logdet + c KL( N(μ, σ²) ‖ N(0, I) ) + d ½ μ²
    D minimises  rec + b L_logdet,     L_logdet = ½ log ‖(h(μ + δ) − h(μ)) / ‖δ‖‖², δ = (σ + 1e-2) ε

In L_logdet no gradient flows through μ and σ. The latent terms begin after `delay` steps.
"""

import dataclasses

import jax
import jax.numpy as jnp

from experiment_jax.method.stage import Metrics
from rivals_jax.networks import Autoencoder
from rivals_jax.objective import Objective, kl_to_standard_normal


@dataclasses.dataclass(frozen=True)
class PerceptualGenerative(Objective):
    """a, b, c, d are the settings `latent`, `logdet`, `kl` and `likelihood`."""

    OUTPUTS = 2

    def loss(
        self, networks: Autoencoder, images: jax.Array, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        first, second, third = jax.random.split(key, 3)
        mu, log_sigma = jnp.split(networks.encode(images), 2, axis=-1)
        sigma = jnp.exp(log_sigma)
        decoded = networks.decode(mu + sigma * self.normal(first, mu))
        square = 4.0 * jnp.mean((images - decoded) ** 2)  # of images in [−1, 1], as the public code has them
        fixed = still(networks)
        prior = self.normal(second, mu)
        latent = jnp.mean((means(networks, fixed.decode(prior)) - prior) ** 2)
        kl, half_square = jnp.mean(kl_to_standard_normal(mu, sigma)) / mu.shape[-1], 0.5 * jnp.mean(mu**2)
        logdet = self._logdet(networks, jax.lax.stop_gradient(mu), jax.lax.stop_gradient(sigma), third)
        own = self.own
        terms = own.latent * latent + own.logdet * logdet + own.kl * kl + own.likelihood * half_square
        metrics = {"square_error": square, "latent_error": latent, "logdet": logdet, "kl": kl}
        return square + jnp.where(step < own.delay, 0.0, 1.0) * terms, metrics

    def _logdet(self, networks: Autoencoder, mu: jax.Array, sigma: jax.Array, key: jax.Array) -> jax.Array:
        delta = (sigma + 1e-2) * self.normal(key, mu)
        moved = means(networks, networks.decode(mu + delta)) - means(networks, networks.decode(mu))
        ratio = jnp.sum(moved**2, axis=-1) / jnp.sum(delta**2, axis=-1)
        return 0.5 * jnp.mean(jnp.log(ratio + 1e-12))


def means(networks: Autoencoder, images: jax.Array) -> jax.Array:
    """μ `[batch, latent]` of images in [0, 1]."""
    return jnp.split(networks.encode(images), 2, axis=-1)[0]


def still(networks: Autoencoder) -> Autoencoder:
    """The same networks, through whose parameters no gradient flows."""
    module, variables = networks.unbind()
    return module.bind(jax.lax.stop_gradient(variables), mutable=["batch_stats"])
