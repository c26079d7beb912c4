"""The `energy` matcher: G minimises the conditional energy score of its samples.

min_G E ‖G(X, η) − E(Y)‖ − ½ E ‖G(X, η) − G(X, η′)‖ (Gneiting & Raftery 2007, eq. 22; as a loss of a generator: Shen &
Meinshausen 2023, arXiv 2307.00835). A strictly proper score: for each x it is least where the law of G(x, η) is that of
E(Y) given X = x, though each x has one y only. It is what the Sinkhorn divergence of the conditional laws becomes for ε
→ ∞, with a self term of independent draws: no minibatch bias, nothing to solve, and an x of its own is a stratum.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.config import checks as settings
from experiment_jax.method.stage import Context
from experiment_jax.networks import optimiser, train_state
from lsdm_jax.generator import OneStep
from lsdm_jax.matching import Matcher, batch_weights

PyTree = Any


def energy_score(generated: jax.Array, real: jax.Array) -> tuple[jax.Array, Mapping[str, jax.Array]]:
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


def matcher(config: ConfigDict, context: Context) -> Matcher:
    """The matcher.

    Args:
        config: draws (K), and for the generator noise_size, width, depth, optimiser, ema_decay; beta only says whether
            batches are stratified.
        context: see `Context`.

    Raises:
        UserError: fewer than two draws.
    """
    settings.check_at_least(config, context.name, 2, draws=4)
    sampler = OneStep.build(config, context)
    descent = optimiser.build(config.optimiser, context.total_steps)

    def init(key: jax.Array, latents: jax.Array, condition: jax.Array) -> train_state.TrainState:
        return train_state.create(sampler.init(key, condition), descent)

    def update(state: train_state.TrainState, latents: jax.Array, condition: jax.Array, key: jax.Array):
        weights = batch_weights(condition, context.class_weights, config.beta)

        def loss(params, statistics):
            drawn = sampler.draw(params, key, condition).reshape(-1, config.draws, latents.shape[-1])
            scores, metrics = energy_score(drawn, latents[:: config.draws])
            return config.draws * jnp.sum(weights[:: config.draws] * scores), (statistics, metrics)

        return train_state.descend(state, loss, descent, config.ema_decay)

    return Matcher(init, update, lambda state: state.average["params"], sampler.sample, nfe=1)
