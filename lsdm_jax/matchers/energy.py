"""The `energy` matcher: G minimises the conditional energy score of its samples.

min_G E ‖G(X, η) − E(Y)‖ − ½ E ‖G(X, η) − G(X, η′)‖ (Gneiting & Raftery 2007, eq. 22; as a loss of a generator: Shen &
Meinshausen 2023, arXiv 2307.00835). A strictly proper score: for each x it is least where the law of G(x, η) is that of
E(Y) given X = x, though each x has one y only. It is what the Sinkhorn divergence of the conditional laws becomes for ε
→ ∞, with a self term of independent draws: no minibatch bias, nothing to solve, and an x of its own is a stratum.

Of a latent with many numbers the score tells how much samples vary, and hardly which numbers do: lengths are root mean
squares of all. So squares of places may have scores of their own (`energy.squares`; patches, in Pacchiardi et al. 2024,
arXiv 2112.08217). Scores of parts that are added to that of the whole leave it strictly proper.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from experiment_jax.config import checks
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Metrics, PyTree
from experiment_jax.networks import grid
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


def score_in_squares(generated: jax.Array, real: jax.Array, shape: grid.Shape, side: int) -> jax.Array:
    """√m times the mean energy score of the m squares of side × side places, of each row `[batch]`; for the other
    arguments see `energy_score`. The factor gives it the unit of the score of the whole: lengths grow by √m."""
    batch, draws, latent = generated.shape
    squares = grid.to_tokens(generated.reshape(-1, latent), shape, side)
    count, size = squares.shape[1:]
    squares = jnp.moveaxis(squares.reshape(batch, draws, count, size), 1, 2).reshape(-1, draws, size)
    scores, _ = energy_score(squares, grid.to_tokens(real, shape, side).reshape(-1, size))
    return math.sqrt(count) * jnp.mean(scores.reshape(batch, count), axis=1)


def lengths(differences: jax.Array) -> jax.Array:
    """‖·‖₂ along the last axis, with value and gradient 0 where it vanishes, NaN where it is NaN."""
    squared = jnp.sum(differences**2, axis=-1)
    vanishes = squared == 0
    # Neither branch may be infinite where the other is taken: gradients of both are multiplied.
    return jnp.where(vanishes, 0.0, jnp.sqrt(jnp.where(vanishes, 1.0, squared)))


@dataclasses.dataclass(frozen=True)
class EnergyMatcher(OneStepMatcher):
    """G minimises the energy score of its samples, given their condition. β only says whether batches are stratified.

    K is the stage's `draws`; `squares` are the sides of squares of places, each of which has a score of its own. The
    score is a mean over the joint law of condition and latent. So what counts of probabilities of the condition is a
    draw from them, anew at every step: `posterior` and `sampled` are the same here.
    """

    NAME = "energy"
    IMAGES = True
    SPACES = True
    LABELS = ("pairs", "pseudo", "posterior", "sampled")

    def check(self) -> None:
        """Raises UserError for a single draw, or for squares that these latents, or their space, have not."""
        checks.at_least(self.config, self.context.name, 2, draws=4)
        model, squares = self.context.model, self.own.squares
        if squares and (model.space is not None or not model.latent_shape):
            raise UserError(
                f"{self.where}.squares={squares}: distances are not taken between latents with places here; "
                f'type --config.{self.where}.squares="()"'
            )
        for side in squares:
            if side < 1 or any(places % side for places in model.latent_shape[:2]):
                height, width = model.latent_shape[:2]
                raise UserError(
                    f"{self.where}.squares={squares}: {height}x{width} places are no squares of {side}; "
                    f'type --config.{self.where}.squares="(1,)"'
                )

    def loss(self, params: PyTree, term: Term, key: jax.Array) -> tuple[jax.Array, Metrics]:
        draws = self.config.draws
        weights = term.weights(self.context.class_weights)
        drawn, real = self.points(params, term, key).reshape(-1, draws, term.latents.shape[-1]), term.latents[::draws]
        scores, metrics = energy_score(drawn, real)
        shape, squares = self.context.model.latent_shape, self.own.squares
        scores += sum(score_in_squares(drawn, real, shape, side) for side in squares)
        scores /= 1 + len(squares)
        return draws * jnp.sum(weights[::draws] * scores), metrics
