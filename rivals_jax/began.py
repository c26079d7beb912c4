"""BEGAN: D is an autoencoder, and its errors of real and of generated images are held in a ratio γ (Berthelot et al.
2017, arXiv 1703.10717, section 3.4).

With L(x) = mean |x − D(x)|: D minimises E L(x) − k E L(G(z)), G minimises E L(G(z)), and after each step of D

    k ← k + λ_k (γ E L(x) − E L(G(z))),   k₀ = 0.

k is not clipped to [0, 1], which Berthelot et al. do and the public code that the table rests on does not.
"""

import dataclasses

import jax
import jax.numpy as jnp

from experiment_jax.method.stage import Metrics, PyTree
from rivals_jax.gan_loss import GANLoss, Score


@dataclasses.dataclass(frozen=True)
class BoundaryEquilibrium(GANLoss):
    """`score` is L. γ is the setting `gamma`, λ_k is `rate`; what is carried is k."""

    AUTOENCODES = True

    def start(self) -> jax.Array:
        return jnp.zeros(())

    def of_discriminator(
        self, score: Score, real: jax.Array, fake: jax.Array, key: jax.Array, carried: PyTree
    ) -> tuple[jax.Array, Metrics]:
        of_real, of_fake = jnp.mean(score(real)), jnp.mean(score(fake))
        # M of section 3.4.1, which falls as training converges.
        convergence = of_real + jnp.abs(self.own.gamma * of_real - of_fake)
        metrics = {"error_real": of_real, "error_fake": of_fake, "k": carried, "convergence": convergence}
        return of_real - carried * of_fake, metrics

    def of_generator(self, score: Score, fake: jax.Array) -> jax.Array:
        return jnp.mean(score(fake))

    def carry(self, carried: PyTree, metrics: Metrics) -> jax.Array:
        return carried + self.own.rate * (self.own.gamma * metrics["error_real"] - metrics["error_fake"])
