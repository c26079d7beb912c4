"""CV-VAE: a VAE whose posterior has one constant variance (Ghosh et al. 2020, arXiv 1903.12436, section 3.1).

E Σ (x − D(z))² + w ½ ‖μ‖², z = μ + σ ε: of KL( N(μ, σ² I) ‖ N(0, I) ) only μ's part is left.
"""

import dataclasses

import jax
import jax.numpy as jnp

from experiment_jax.method.stage import Metrics
from rivals_jax.networks import Autoencoder
from rivals_jax.objective import Objective, summed_square


@dataclasses.dataclass(frozen=True)
class ConstantVarianceVAE(Objective):
    """w is the setting `kl`, σ is `sigma`."""

    def loss(
        self, networks: Autoencoder, images: jax.Array, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        mu = networks.encode(images)
        decoded = networks.decode(mu + self.own.sigma * self.normal(key, mu))
        square, size = jnp.mean(summed_square(images, decoded)), jnp.mean(0.5 * jnp.sum(mu**2, axis=-1))
        return square + self.own.kl * size, {"square_error": square, "latent_half_square": size}
