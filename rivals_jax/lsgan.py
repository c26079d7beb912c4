"""LSGAN: least squares in place of the logistic loss (Mao et al. 2017, arXiv 1611.04076, eq. 9).

With D(x) = σ(s(x)), as Lucic et al. 2018 (arXiv 1711.10337) have it: D minimises ½ E (D(x) − 1)² + ½ E D(G(z))², and G
minimises ½ E (D(G(z)) − 1)².
"""

import dataclasses

import jax
import jax.numpy as jnp

from experiment_jax.method.stage import Metrics, PyTree
from rivals_jax.gan_loss import GANLoss, Score


@dataclasses.dataclass(frozen=True)
class LeastSquares(GANLoss):
    """Scores are the logits of D."""

    def of_discriminator(
        self, score: Score, real: jax.Array, fake: jax.Array, key: jax.Array, carried: PyTree
    ) -> tuple[jax.Array, Metrics]:
        of_real, of_fake = jax.nn.sigmoid(score(real)), jax.nn.sigmoid(score(fake))
        value = 0.5 * (jnp.mean((of_real - 1.0) ** 2) + jnp.mean(of_fake**2))
        return value, {"score_real": jnp.mean(of_real), "score_fake": jnp.mean(of_fake)}

    def of_generator(self, score: Score, fake: jax.Array) -> jax.Array:
        return 0.5 * jnp.mean((jax.nn.sigmoid(score(fake)) - 1.0) ** 2)
