"""What an autoencoder of Table 1 minimises: one function of the networks and a batch of images in [0, 1]."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.devices.batch_axis import BatchAxis
from experiment_jax.method.stage import Metrics
from rivals_jax.networks import Autoencoder


@dataclasses.dataclass(frozen=True)
class Objective:
    """One kind of autoencoder. To add one, write its file and its line in `rivals_jax.autoencoder.KINDS`.

    Attributes:
        own: the kind's own settings.
        axis: the batch, on one device or several.
        OUTPUTS: how many numbers the encoder gives for each coordinate of a latent; the first is the latent.
        SPECTRAL: whether all layers of both networks have spectral norm 1.
        PRIOR: whether latents are trained towards N(0, I).
    """

    own: ConfigDict
    axis: BatchAxis

    OUTPUTS: ClassVar[int] = 1
    SPECTRAL: ClassVar[bool] = False
    PRIOR: ClassVar[bool] = True

    def loss(
        self, networks: Autoencoder, images: jax.Array, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        """What both networks minimise, and its metrics.

        Args:
            networks: E and D with their parameters, a bound module.
            images: x, `[batch, height, width, channels]` in [0, 1].
            key: of all noise of the step.
            step: its number, from 0.
        """
        raise TypeError("an autoencoder's objective must say what it minimises")

    def normal(self, key: jax.Array, like: jax.Array) -> jax.Array:
        """ε ~ N(0, I), of the shape of `like` `[batch, …]`."""
        return self.axis.draw(jax.random.normal, key, like.shape)


def summed_square(images: jax.Array, decoded: jax.Array) -> jax.Array:
    """Σ over places of the squared error, which is a mean over channels: `[batch]`."""
    return jnp.sum(jnp.mean((images - decoded) ** 2, axis=-1), axis=(1, 2))


def kl_to_standard_normal(mu: jax.Array, sigma: jax.Array) -> jax.Array:
    """KL( N(μ, σ²) ‖ N(0, I) ) = ½ Σ (μ² + σ² − 1 − log σ²) of rows `[batch, latent]`, in nats: `[batch]`."""
    return 0.5 * jnp.sum(mu**2 + sigma**2 - 1.0 - 2.0 * jnp.log(sigma), axis=-1)
