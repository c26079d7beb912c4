"""WGAN-GP: the dual of W₁ between images, D held near slope 1 (Gulrajani et al. 2017, arXiv 1704.00028, eq. 3).

D minimises E D(G(z)) − E D(x) + λ E (‖∇D(x̂)‖ − 1)² with x̂ = x + α (G(z) − x), α ~ U(0, 1), and G minimises −E D(G(z)).
"""

import dataclasses

import jax
import jax.numpy as jnp

from experiment_jax.method.stage import Metrics, PyTree
from rivals_jax.gan_loss import GANLoss, Score

SMALL = 1e-4  # under the root, whose gradient is infinite at 0


@dataclasses.dataclass(frozen=True)
class GradientPenalty(GANLoss):
    """λ is the setting `penalty`."""

    def of_discriminator(
        self, score: Score, real: jax.Array, fake: jax.Array, key: jax.Array, carried: PyTree
    ) -> tuple[jax.Array, Metrics]:
        of_real, of_fake = jnp.mean(score(real)), jnp.mean(score(fake))
        alpha = self.axis.draw(jax.random.uniform, key, (real.shape[0], 1, 1, 1))
        slopes = slope(score, real + alpha * (fake - real))
        penalty = jnp.mean((slopes - 1.0) ** 2)
        metrics = {"w1_estimate": of_real - of_fake, "penalty": penalty, "slope": jnp.mean(slopes)}
        return of_fake - of_real + self.own.penalty * penalty, metrics

    def of_generator(self, score: Score, fake: jax.Array) -> jax.Array:
        return -jnp.mean(score(fake))


def slope(score: Score, images: jax.Array) -> jax.Array:
    """√(1e-4 + ‖∇D(x)‖²) at each of the images `[batch, …]`: `[batch]`, by pixels in [0, 1]."""
    gradient = jax.grad(lambda x: jnp.sum(score(x)))(images)
    return jnp.sqrt(SMALL + jnp.sum(gradient**2, axis=(1, 2, 3)))
