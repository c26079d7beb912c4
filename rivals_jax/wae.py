"""WAE-MMD: an autoencoder whose latents have the law N(0, I) (Tolstikhin et al. 2018, arXiv 1711.01558, algorithm 2).

E (x − D(E(x)))², a mean over pixels, + w MMD²( E(x), N(0, I) ), with kernels C / (C + ‖a − b‖²) summed over
C = 2 d s, s in {.1, .2, .5, 1, 2, 5, 10}.
"""

import dataclasses

import jax
import jax.numpy as jnp

from experiment_jax.method.stage import Metrics
from experiment_jax.networks.mmd import mmd
from rivals_jax.networks import Autoencoder
from rivals_jax.objective import Objective

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclasses.dataclass(frozen=True)
class WassersteinAutoencoder(Objective):
    """w is the setting `mmd`."""

    def loss(
        self, networks: Autoencoder, images: jax.Array, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        encoded = networks.encode(images)
        square = jnp.mean((images - networks.decode(encoded)) ** 2)
        z = self.axis.gather(encoded)  # a law is compared, not an image: the whole batch at once
        prior = jax.random.normal(key, z.shape)
        value = sum(mmd(z, prior, scale=2.0 * z.shape[-1] * scale) for scale in SCALES)
        return square + self.own.mmd * value, {"square_error": square, "mmd": value}
