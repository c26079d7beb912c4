"""The `sinkhorn` matcher: G minimises the debiased entropic W₁ between generated and real latents.

S_ε(μ, ν) = OT_ε(μ, ν) − ½ OT_ε(μ, μ) − ½ OT_ε(ν, ν) with cost ‖·‖₂; how it is computed: `lsdm_jax.transport`.
"""

from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.config import checks as settings
from experiment_jax.method.stage import Context
from experiment_jax.networks import optimiser, train_state
from lsdm_jax.condition import phi
from lsdm_jax.generator import OneStep
from lsdm_jax.matching import Matcher, check_beta
from lsdm_jax.transport import Metrics, divergence


def stratified(
    generated: jax.Array, latents: jax.Array, weights: jax.Array, **solver: Any
) -> tuple[jax.Array, Metrics]:
    """β = ∞: Σ_x p(x) S_ε(G(x, ·), E(Y) | x), one problem a class, all at once.

    Args:
        generated: `[classes, m, latent]`.
        latents: `[classes, m, latent]`.
        weights: p(x) `[classes]`.
        solver: see `lsdm_jax.transport.solve`.
    """
    values, metrics = jax.vmap(lambda x, y: divergence(x, y, **solver))(generated, latents)
    return jnp.sum(weights * values), jax.tree.map(jnp.mean, metrics)


def joint(
    generated: jax.Array, latents: jax.Array, condition: jax.Array, beta: float, num_classes: int, **solver: Any
) -> tuple[jax.Array, Metrics]:
    """Finite β: S_ε between the joint laws, with cost (β²‖φ(x) − φ(x′)‖² + ‖z − z′‖²)^½, see `pairs`.

    Args:
        generated: `[batch, latent]`, G(condition, ·).
        latents: `[batch, latent]`.
        condition: of row i of both, see `lsdm_jax.condition`.
        beta: distance between two classes.
        num_classes: labels are 0 … num_classes − 1.
        solver: see `lsdm_jax.transport.solve`.
    """
    x, y = (pairs(z, condition, beta, num_classes) for z in (generated, latents))
    return divergence(x, y, fixed=x.shape[-1] - generated.shape[-1], **solver)


def pairs(latents: jax.Array, condition: jax.Array, beta: float, num_classes: int) -> jax.Array:
    """(βφ(x), z), in which two classes are β apart: `[batch, k + latent]`; the first k are the `fixed` of a cost."""
    return jnp.concatenate([beta * phi(condition, num_classes), latents], axis=-1)


def matcher(config: ConfigDict, context: Context) -> Matcher:
    """The matcher; `config` gives epsilon, beta, max_iterations, threshold, noise_size, width, depth, optimiser.

    Raises:
        UserError: an epsilon that is not positive, no iterations, or β = ∞ where conditions are images.
    """
    check_beta(config, context)
    settings.check_positive(config, context.name, epsilon=2.0)
    settings.check_at_least(config, context.name, 1, max_iterations=200)
    sampler = OneStep.build(config, context)
    descent = optimiser.build(config.optimiser, context.total_steps)
    solver = dict(epsilon=config.epsilon, max_iterations=config.max_iterations, threshold=config.threshold)
    weights = jnp.asarray(context.class_weights)

    def distance(generated: jax.Array, latents: jax.Array, condition: jax.Array) -> tuple[jax.Array, Metrics]:
        if not settings.is_infinite(config.beta):
            return joint(generated, latents, condition, config.beta, context.num_classes, **solver)
        classes = (context.num_classes, -1, latents.shape[-1])
        return stratified(generated.reshape(classes), latents.reshape(classes), weights, **solver)

    def init(key: jax.Array, latents: jax.Array, condition: jax.Array) -> train_state.TrainState:
        return train_state.create(sampler.init(key, condition), descent)

    def update(state: train_state.TrainState, latents: jax.Array, condition: jax.Array, key: jax.Array):
        def loss(params, statistics):
            value, metrics = distance(sampler.draw(params, key, condition), latents, condition)
            return value, (statistics, metrics)

        return train_state.descend(state, loss, descent, config.ema_decay)

    return Matcher(init, update, lambda state: state.average["params"], sampler.sample, nfe=1)
