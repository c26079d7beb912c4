"""RAE-SN: an autoencoder regularised by spectral norms (Ghosh et al. 2020, arXiv 1903.12436, eq. 11).

E (x − D(z))² + β E z², means over pixels and over coordinates, z = E(x), with spectral norm 1 on every layer of both
networks. Latents have no prior: a mixture of normal laws is fitted to them.
"""

import dataclasses

import jax
import jax.numpy as jnp

from experiment_jax.method.stage import Metrics
from rivals_jax.networks import Autoencoder
from rivals_jax.objective import Objective


@dataclasses.dataclass(frozen=True)
class SpectralAutoencoder(Objective):
    """β is the setting `l2`."""

    SPECTRAL = True
    PRIOR = False

    def loss(
        self, networks: Autoencoder, images: jax.Array, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        z = networks.encode(images)
        square, size = jnp.mean((images - networks.decode(z)) ** 2), jnp.mean(z**2)
        return square + self.own.l2 * size, {"square_error": square, "latent_square": size}
