"""The `sinkhorn` matcher: G minimises the debiased entropic W₁ between generated and real latents.

S_ε(μ, ν) = OT_ε(μ, ν) − ½ OT_ε(μ, μ) − ½ OT_ε(ν, ν) with cost ‖·‖₂; how it is computed: `lsdm_jax.transport`.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from experiment_jax.config import checks
from experiment_jax.method.stage import Metrics, PyTree
from lsdm_jax.condition import phi
from lsdm_jax.matchers.generator import OneStepMatcher
from lsdm_jax.matchers.matcher import check_beta
from lsdm_jax.transport import divergence


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

    Potentials grow with β, and float32 rounds them off. Above about 1e5 ε plans no longer converge, and `converged`
    says so.

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


@dataclasses.dataclass(frozen=True)
class SinkhornMatcher(OneStepMatcher):
    """G minimises S_ε between its samples and the latents: within each class (β = ∞), or between the joint laws."""

    NAME = "sinkhorn"
    SETTINGS: ClassVar = dict(
        epsilon=5.0,  # in units of latent distance; lower: truer samples and less spread
        max_iterations=200,
        threshold=1e-2,  # a plan has converged where its marginals are off by less, in L1
    )
    IMAGES = True

    def check(self) -> None:
        check_beta(self.config, self.context)
        checks.positive(self.own, self.where, epsilon=2.0, threshold=1e-2)
        checks.at_least(self.own, self.where, 1, max_iterations=200)

    def loss(
        self, params: PyTree, latents: jax.Array, condition: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        own = self.config.sinkhorn
        solver = dict(epsilon=own.epsilon, max_iterations=own.max_iterations, threshold=own.threshold)
        generated = self.draw(params, key, condition)
        beta, num_classes = self.config.beta, self.context.num_classes
        if beta != float("inf"):
            return joint(generated, latents, condition, beta, num_classes, **solver)
        classes = (num_classes, -1, latents.shape[-1])
        weights = jnp.asarray(self.context.class_weights)
        return stratified(generated.reshape(classes), latents.reshape(classes), weights, **solver)
