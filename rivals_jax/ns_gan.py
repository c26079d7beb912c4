"""NS GAN: the non-saturating GAN (Goodfellow et al. 2014, arXiv 1406.2661, section 3).

D(x) = σ(s(x)) is the probability that an image is real. D minimises −E log D(x) − E log(1 − D(G(z))). In place of
E log(1 − D(G(z))), whose gradient vanishes where D is sure, G minimises −E log D(G(z)).
"""

import dataclasses

import jax
import jax.numpy as jnp

from experiment_jax.method.stage import Metrics, PyTree
from rivals_jax.gan_loss import GANLoss, Score


@dataclasses.dataclass(frozen=True)
class NonSaturating(GANLoss):
    """−log σ(s) is softplus(−s), and −log(1 − σ(s)) is softplus(s)."""

    def of_discriminator(
        self, score: Score, real: jax.Array, fake: jax.Array, key: jax.Array, carried: PyTree
    ) -> tuple[jax.Array, Metrics]:
        of_real, of_fake = score(real), score(fake)
        value = jnp.mean(jax.nn.softplus(-of_real)) + jnp.mean(jax.nn.softplus(of_fake))
        return value, {"score_real": jnp.mean(of_real), "score_fake": jnp.mean(of_fake)}

    def of_generator(self, score: Score, fake: jax.Array) -> jax.Array:
        return jnp.mean(jax.nn.softplus(-score(fake)))
