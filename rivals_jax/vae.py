"""VAE (Kingma & Welling 2014, arXiv 1312.6114), as Ghosh et al. 2020 (arXiv 1903.12436) train it.

E Σ (x − D(z))² + w KL( N(μ, σ²) ‖ N(0, I) ), z = μ + σ ε, with log σ = 5 tanh(·), which bounds σ.
"""

import dataclasses

import jax
import jax.numpy as jnp

from experiment_jax.method.stage import Metrics
from rivals_jax.networks import Autoencoder
from rivals_jax.objective import Objective, kl_to_standard_normal, summed_square


@dataclasses.dataclass(frozen=True)
class VAE(Objective):
    """w is the setting `kl`."""

    OUTPUTS = 2

    def loss(
        self, networks: Autoencoder, images: jax.Array, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        mu, raw = jnp.split(networks.encode(images), 2, axis=-1)
        sigma = jnp.exp(5.0 * jnp.tanh(raw))
        decoded = networks.decode(mu + sigma * self.normal(key, mu))
        square, kl = jnp.mean(summed_square(images, decoded)), jnp.mean(kl_to_standard_normal(mu, sigma))
        return square + self.own.kl * kl, {"square_error": square, "kl": kl}
