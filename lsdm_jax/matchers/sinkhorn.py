"""The `sinkhorn` matcher: G minimises the debiased entropic W₁ between generated and real latents.

S_ε(μ, ν) = OT_ε(μ, ν) − ½ OT_ε(μ, μ) − ½ OT_ε(ν, ν) with cost ‖·‖₂ (Genevay et al. 2018; Feydy et al. 2019), which
tends to W₁ as ε falls. ε is fixed: OTT's default moves with the data.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict
from ott.geometry import costs
from ott.tools import sinkhorn_divergence

from experiment_jax import optimiser, settings, train_state
from experiment_jax.stage import Context
from lsdm_jax.condition import phi
from lsdm_jax.generator import OneStep
from lsdm_jax.matching import Matcher, check_beta

Metrics = Mapping[str, jax.Array]


@jax.tree_util.register_pytree_node_class
class Distance(costs.CostFn):
    """‖x − y‖₂, with value and gradient 0 where points coincide.

    OTT's own `costs.Euclidean` costs √d there as soon as it is differentiated (`ott.math.utils.norm`, 0.6.0), which
    leaves the gradient right and makes the value of every self term wrong.
    """

    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        squared = jnp.sum((x - y) ** 2)
        apart = squared > 0
        # Neither branch may be infinite where the other is taken: gradients of both are multiplied. `optax.safe_norm`
        # does the same 18 times slower over a matrix of pairs on CPU.
        return jnp.where(apart, jnp.sqrt(jnp.where(apart, squared, 1.0)), 0.0)


def divergence(
    x: jax.Array, y: jax.Array, *, epsilon: float, max_iterations: int, threshold: float
) -> tuple[jax.Array, Metrics]:
    """S_ε between two clouds `[n, d]` and `[m, d]` of equal weights, and how the solver fared.

    Args:
        x: first cloud; gradients flow to it by the envelope theorem.
        y: second cloud.
        epsilon: entropic regularisation, in units of distance.
        max_iterations: bound on Sinkhorn iterations.
        threshold: the solver stops when the marginals' L1 error is below.

    Returns:
        The divergence; iterations of the cross term and whether all three problems converged.
    """
    value, output = sinkhorn_divergence.sinkdiv(
        x,
        y,
        cost_fn=Distance(),
        epsilon=epsilon,
        solve_kwargs=dict(max_iterations=max_iterations, threshold=threshold, use_danskin=True),
    )
    converged = jnp.all(jnp.stack([jnp.asarray(flag) for flag in output.converged]))
    return value, {"iterations": output.n_iters[0].astype(jnp.float32), "converged": converged.astype(jnp.float32)}


def stratified(
    generated: jax.Array, latents: jax.Array, weights: jax.Array, **solver: Any
) -> tuple[jax.Array, Metrics]:
    """β = ∞: Σ_x p(x) S_ε(G(x, ·), E(Y) | x), one problem a class, all at once.

    Args:
        generated: `[classes, m, latent]`.
        latents: `[classes, m, latent]`.
        weights: p(x) `[classes]`.
        solver: see `divergence`.
    """
    values, metrics = jax.vmap(lambda x, y: divergence(x, y, **solver))(generated, latents)
    return jnp.sum(weights * values), jax.tree.map(jnp.mean, metrics)


def joint(
    generated: jax.Array, latents: jax.Array, condition: jax.Array, beta: float, num_classes: int, **solver: Any
) -> tuple[jax.Array, Metrics]:
    """Finite β: S_ε between the joint laws, with cost ‖(βφ(x), z) − (βφ(x′), z′)‖₂, see `pairs`.

    Args:
        generated: `[batch, latent]`, G(condition, ·).
        latents: `[batch, latent]`.
        condition: of row i of both, see `lsdm_jax.condition`.
        beta: distance between two classes.
        num_classes: labels are 0 … num_classes − 1.
        solver: see `divergence`.
    """
    return divergence(*(pairs(z, condition, beta, num_classes) for z in (generated, latents)), **solver)


def pairs(latents: jax.Array, condition: jax.Array, beta: float, num_classes: int) -> jax.Array:
    """(βφ(x), z), in which two classes are β apart: `[batch, k + latent]`."""
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
