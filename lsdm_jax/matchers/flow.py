"""The `flow` matcher: G is regressed onto where the gradient flow of the debiased entropic W₁ would carry its samples.

min_G E ½‖G(X, η) − sg(G(X, η) + V)‖², V the Sinkhorn drift, data minus model (arXiv 2603.12366; drifting models: arXiv
2602.04770). S_ε(μ, ν) = OT_ε(μ, ν) − ½ OT_ε(μ, μ) − ½ OT_ε(ν, ν) falls fastest where each point x of μ moves along

    V(x) = −∇f_{μν}(x) + ∇f_{μμ}(x),   ∇f_{μν}(xᵢ) = (1/aᵢ) Σⱼ Pᵢⱼ ∇₁c(xᵢ, yⱼ)   (envelope theorem).

For the cost ½‖·‖², whose distance is W₂, ∇₁c = x − y and V is a difference of barycentres. LSDM's distance is W₁: there
∇₁c is the unit vector (x − y)/‖x − y‖, and V the mean direction to the data less the mean direction to the model, no
longer than 2 however far the data are.

The model's own term is taken to an independent second batch x′, not to x itself (arXiv 2605.11755). A few points y of
a law pull in those of an x of the same law; x against itself does not push them apart as much, each point being its own
nearest. A second batch has the bias of the first, so that E V = 0 where the laws agree, whatever ε and the batch are,
and ε may be small. For equal numbers of points E V descends the minibatch energy distance 2 E OT(X, Y) − E OT(X, X′) −
E OT(Y, Y′) of Salimans et al. 2018 (arXiv 1803.05573), which for exact OT vanishes nowhere else.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from experiment_jax.config import checks
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Metrics, PyTree
from lsdm_jax import transport
from lsdm_jax.matchers.generator import OneStepMatcher
from lsdm_jax.matchers.matcher import ALL_LABELS, Term, blur, check_beta, pair_rows
from lsdm_jax.matchers.sinkhorn import pairs

Clouds = tuple[jax.Array, jax.Array, jax.Array]  # x, y and the second batch, or φ of their conditions


def pull(
    x: jax.Array, y: jax.Array, *, epsilon: float, max_iterations: int, threshold: float, fixed: int = 0
) -> tuple[jax.Array, Metrics]:
    """−∇f(xᵢ) = Σⱼ n Pᵢⱼ (yⱼ − xᵢ)/‖yⱼ − xᵢ‖, what OT_ε draws each point of x towards y by; 0 from a coincident point.

    Args:
        x: cloud `[n, d]`, equal weights.
        y: cloud `[m, d]`, equal weights.
        epsilon: entropic regularisation, in units of distance.
        max_iterations: bound on Sinkhorn iterations.
        threshold: the solver stops when the marginals' L1 error is below.
        fixed: how many coordinates, the first, are of the condition.

    Returns:
        `[n, d]`, no row longer than 1; iterations, and whether the plan has converged.
    """
    plan = transport.solve(x, y, epsilon=epsilon, max_iterations=max_iterations, threshold=threshold, fixed=fixed)
    pulled = transport.pulls(x, y, plan, epsilon, fixed)
    return pulled.of_x, {"iterations": plan.iterations, "converged": pulled.converged(threshold)}


def drift(x: jax.Array, y: jax.Array, other: jax.Array, **solver: Any) -> tuple[jax.Array, Metrics]:
    """V `[n, d]` at the model's points x `[n, d]`, from data y and a second batch `other` of the model, both `[m, d]`.

    With x itself for `other` it is −n ∇ₓ S_ε(x, y). For the solver see `pull`; the metrics are iterations of the first
    term, and whether both have converged.
    """
    towards_data, metrics = pull(x, y, **solver)
    towards_model, fared = pull(x, other, **solver)
    return towards_data - towards_model, {**metrics, "converged": metrics["converged"] * fared["converged"]}


def stratified(x: jax.Array, y: jax.Array, other: jax.Array, **solver: Any) -> tuple[jax.Array, Metrics]:
    """β = ∞: the drift within each class, one problem a class, all at once; clouds `[classes, n or m, latent]`."""
    drifts, metrics = jax.vmap(lambda *clouds: drift(*clouds, **solver))(x, y, other)
    return drifts, jax.tree.map(jnp.mean, metrics)


def joint(clouds: Clouds, places: Clouds, beta: float, **solver: Any) -> tuple[jax.Array, Metrics]:
    """Finite β: the drift of the pairs (βφ, z) in their latents, for the conditions stay.

    Clouds are x `[n, latent]`, y and other `[m, latent]`, and the places φ of their conditions, `[n or m, k]`.
    """
    joined = [pairs(z, of, beta) for z, of in zip(clouds, places, strict=True)]
    fixed = joined[0].shape[-1] - clouds[0].shape[-1]
    drifts, metrics = drift(*joined, fixed=fixed, **solver)
    return drifts[:, fixed:], metrics


@dataclasses.dataclass(frozen=True)
class FlowMatcher(OneStepMatcher):
    """G is regressed onto where the drift V carries its samples.

    A point of the second batch costs one evaluation of G and its part of a plan, a third of what a moved point costs.
    So a few points, one of each `thinning`, are moved towards many.
    """

    NAME = "flow"
    IMAGES = True
    LABELS = ALL_LABELS
    SMOOTHS = True
    SPACES = True

    def check(self) -> None:
        check_beta(self.config, self.context)
        checks.positive(self.own, self.where, epsilon=2.0, threshold=1e-2)
        checks.at_least(self.own, self.where, 1, max_iterations=200, thinning=4)
        pairs, by_class = pair_rows(self.config), self.own.thinning * self.context.num_classes
        each = by_class if self.config.beta == float("inf") else self.own.thinning
        for setting, rows, part in (
            ("batch_size", self.config.batch_size - pairs, each),
            ("pairs.batch_size", pairs, by_class),
        ):
            if rows % part:
                nearest = max(round(rows / part), 1) * part + (pairs if setting == "batch_size" else 0)
                raise UserError(
                    f"{self.where}.thinning={self.own.thinning}: does not divide a class's part of {rows} rows of a "
                    f"batch; type --config.{self.context.name}.{setting}={nearest}"
                )

    def loss(self, params: PyTree, term: Term, key: jax.Array) -> tuple[jax.Array, Metrics]:
        """½ Σ w ‖G − sg(G + V)‖², and the length of the drift."""
        first, second, *blurs = jax.random.split(key, 5) if term.smoothing else jax.random.split(key)
        moved = term._replace(condition=term.condition[:: self.own.thinning])  # sorted by class, as many of each
        other = jax.lax.stop_gradient(self.points(params, term, second))
        x = self.points(params, moved, first)
        fixed = jax.lax.stop_gradient(x)
        clouds = fixed, term.latents, other
        if term.smoothing:
            clouds = tuple(blur(key, cloud, term.smoothing) for key, cloud in zip(blurs, clouds, strict=True))
        drifts, metrics = self.field(clouds, term)
        squares = jnp.sum((x - (fixed + drifts)) ** 2, axis=-1)
        square = jnp.sum(moved.weights(self.context.class_weights) * squares)
        return square / 2, {**metrics, "drift_norm": jnp.sqrt(square)}

    def field(self, clouds: Clouds, term: Term) -> tuple[jax.Array, Metrics]:
        """V at the first of the clouds, which are of the term's rows."""
        solver = {name: self.own[name] for name in ("epsilon", "max_iterations", "threshold")}
        num_classes = self.context.num_classes
        if term.beta != float("inf"):
            asked, known = term.places(num_classes)
            return joint(clouds, (asked[:: self.own.thinning], known, asked), term.beta, **solver)
        classes = (num_classes, -1, clouds[0].shape[-1])
        drifts, metrics = stratified(*(z.reshape(classes) for z in clouds), **solver)
        return drifts.reshape(clouds[0].shape), metrics
