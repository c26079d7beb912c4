"""The `sinkhorn` matcher: G minimises the debiased entropic W₁ between generated and real latents.

S_ε(μ, ν) = OT_ε(μ, ν) − ½ OT_ε(μ, μ) − ½ OT_ε(ν, ν) with cost ‖·‖₂; how it is computed: `lsdm_jax.transport`.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from experiment_jax.config import checks
from experiment_jax.method.stage import Metrics, PyTree
from lsdm_jax.matchers.generator import OneStepMatcher
from lsdm_jax.matchers.matcher import ALL_LABELS, Term, blur, check_beta
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
    generated: jax.Array, latents: jax.Array, places: tuple[jax.Array, jax.Array], beta: float, **solver: Any
) -> tuple[jax.Array, Metrics]:
    """Finite β: S_ε between the joint laws, with cost (β²‖φ(x) − φ(x′)‖² + ‖z − z′‖²)^½, see `pairs`.

    Potentials grow with β, and float32 rounds them off. Above about 1e5 ε plans no longer converge, and `converged`
    says so.

    Args:
        generated: `[batch, latent]`, G(condition, ·).
        latents: `[batch, latent]`.
        places: φ of the conditions of both, `[batch, k]`; of latents whose class is not certain, its expectation.
        beta: distance between two classes.
        solver: see `lsdm_jax.transport.solve`.
    """
    x, y = (pairs(z, of, beta) for z, of in zip((generated, latents), places, strict=True))
    return divergence(x, y, fixed=x.shape[-1] - generated.shape[-1], **solver)


def pairs(latents: jax.Array, place: jax.Array, beta: float) -> jax.Array:
    """(βφ, z), in which two classes are β apart: `[batch, k + latent]`; the first k are the `fixed` of a cost."""
    return jnp.concatenate([beta * place, latents], axis=-1)


@dataclasses.dataclass(frozen=True)
class SinkhornMatcher(OneStepMatcher):
    """G minimises S_ε between its samples and the latents: within each class (β = ∞), or between the joint laws."""

    NAME = "sinkhorn"
    IMAGES = True
    LABELS = ALL_LABELS
    SMOOTHS = True
    SPACES = True

    def check(self) -> None:
        check_beta(self.config, self.context)
        checks.positive(self.own, self.where, epsilon=2.0, threshold=1e-2)
        checks.at_least(self.own, self.where, 1, max_iterations=200)

    def loss(self, params: PyTree, term: Term, key: jax.Array) -> tuple[jax.Array, Metrics]:
        own, num_classes = self.own, self.context.num_classes
        solver = dict(epsilon=own.epsilon, max_iterations=own.max_iterations, threshold=own.threshold)
        generated, latents = self.points(params, term, key), term.latents
        if term.smoothing:
            first, second = jax.random.split(jax.random.fold_in(key, 1))
            generated, latents = blur(first, generated, term.smoothing), blur(second, latents, term.smoothing)
        if term.beta != float("inf"):
            return joint(generated, latents, term.places(num_classes), term.beta, **solver)
        classes = (num_classes, -1, latents.shape[-1])
        weights = jnp.asarray(self.context.class_weights)
        return stratified(generated.reshape(classes), latents.reshape(classes), weights, **solver)
