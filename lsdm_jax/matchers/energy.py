"""The `energy` matcher: G minimises the conditional energy score of its samples.

min_G E ‖G(X, η) − E(Y)‖ − ½ E ‖G(X, η) − G(X, η′)‖ (Gneiting & Raftery 2007, eq. 22; as a loss of a generator: Shen &
Meinshausen 2023, arXiv 2307.00835). A strictly proper score: for each x it is least where the law of G(x, η) is that of
E(Y) given X = x, though each x has one y only. It is what the Sinkhorn divergence of the conditional laws becomes for ε
→ ∞, with a self term of independent draws: no minibatch bias, nothing to solve, and an x of its own is a stratum.
"""

import dataclasses

import jax
import jax.numpy as jnp

from experiment_jax.config import checks
from experiment_jax.method.stage import Metrics, PyTree
from lsdm_jax.matchers.generator import OneStepMatcher
from lsdm_jax.matchers.matcher import Term


def energy_score(generated: jax.Array, real: jax.Array) -> tuple[jax.Array, Metrics]:
    """(1/K) Σₖ ‖gₖ − y‖ − 1/(2K(K−1)) Σₖₗ ‖gₖ − gₗ‖ of each row `[batch]`, and means of both sums' terms.

    Args:
        generated: gₖ, `[batch, K, latent]`, K ≥ 2 draws for the x of each row.
        real: y `[batch, latent]`.
    """
    draws = generated.shape[1]
    miss = jnp.mean(lengths(generated - real[:, None]), axis=-1)
    apart = jnp.sum(lengths(generated[:, None] - generated[:, :, None]), axis=(1, 2)) / (draws * (draws - 1))
    return miss - apart / 2, {"miss": jnp.mean(miss), "apart": jnp.mean(apart)}


def lengths(differences: jax.Array) -> jax.Array:
    """‖·‖₂ along the last axis, with value and gradient 0 where it vanishes, NaN where it is NaN."""
    squared = jnp.sum(differences**2, axis=-1)
    vanishes = squared == 0
    # Neither branch may be infinite where the other is taken: gradients of both are multiplied.
    return jnp.where(vanishes, 0.0, jnp.sqrt(jnp.where(vanishes, 1.0, squared)))


@dataclasses.dataclass(frozen=True)
class EnergyMatcher(OneStepMatcher):
    """G minimises the energy score of its samples, given their condition. β only says whether batches are stratified.

    It has no settings of its own; K is the stage's `draws`. The score is a mean over the joint law of condition and
    latent. So what counts of probabilities of the condition is a draw from them, anew at every step: `posterior` and
    `sampled` are the same here.
    """

    NAME = "energy"
    IMAGES = True
    SPACES = True
    LABELS = ("pairs", "pseudo", "posterior", "sampled")

    def check(self) -> None:
        checks.at_least(self.config, self.context.name, 2, draws=4)

    def loss(self, params: PyTree, term: Term, key: jax.Array) -> tuple[jax.Array, Metrics]:
        draws = self.config.draws
        weights = term.weights(self.context.class_weights)
        drawn = self.points(params, term, key).reshape(-1, draws, term.latents.shape[-1])
        scores, metrics = energy_score(drawn, term.latents[::draws])
        return draws * jnp.sum(weights[::draws] * scores), metrics
