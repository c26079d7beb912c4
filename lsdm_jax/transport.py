"""Entropic optimal transport between clouds of equal weights, with cost ‖·‖₂: plan, value and gradient, divergence.

    OT_ε(x, y) = min_P Σ Pᵢⱼ ‖xᵢ − yⱼ‖ + ε KL(P | 1/(nm)) = max_{f, g} mean f + mean g − ε (Σ Pᵢⱼ − 1),
    Pᵢⱼ = exp((fᵢ + gⱼ − ‖xᵢ − yⱼ‖)/ε)/(nm),

    S_ε(x, y) = OT_ε(x, y) − ½ OT_ε(x, x) − ½ OT_ε(y, y)   (Genevay et al. 2018; Feydy et al. 2019, eq. 3),

which tends to W₁ as ε falls. ε is fixed: OTT's default moves with the data. The solver is OTT's, and around it stands
what OTT leaves to its callers; `python benchmarks/transport.py` undoes one choice after another.

* The cost matrix is computed once: a `PointCloud` computes it anew in every iteration.
* ε-scaling: from the diameter down to ε by halves, one update of the potentials at each. That warm start saves tens of
  iterations where ε is small beside the distances between clusters, and lets float32 bear what follows. OTT's schedule
  begins at a fixed multiple of ε, whatever the clouds are.
* Iterations are products with the kernel exp((f + g − C)/ε)/(nm) of the potentials reached, nearly the plan itself:
  nothing overflows, and a product takes a tenth of a log-sum-exp. The kernel is formed anew every ROUND iterations
  (absorption: Schmitzer 2019, arXiv 1610.06519, algorithm 2). OTT has kernels, but does not absorb.
* Self terms are solved by the averaged update f ← ½ (f + T f) (Feydy et al. 2019, eq. 25), which takes a few.
* The gradient is that of the value at fixed potentials (envelope theorem): Σⱼ Pᵢⱼ (xᵢ − yⱼ)/‖xᵢ − yⱼ‖. It is written
  out, two products of matrices, because JAX would sum the differences one by one.
* Above DENSE entries no matrix is kept: iterations, value and gradient go by blocks of rows, in memory linear in n.
* Potentials are not carried from step to step: every step has other points, and they take a few iterations to find.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from ott.geometry import geometry
from ott.problems.linear import linear_problem
from ott.solvers.linear import acceleration, sinkhorn

from lsdm_jax.costs import BLOCK, Blocks, Distance, Kernel

Metrics = Mapping[str, jax.Array]
Solver = Callable[..., sinkhorn.Sinkhorn]
Potentials = tuple[jax.Array, jax.Array]  # f [n] of x and g [m] of y

ROUND = 100  # iterations between two absorptions
DENSE = 2**24  # entries of the largest cost matrix that is kept: 4,096 × 4,096, 64 MiB


class Plan(NamedTuple):
    """A solved problem.

    Attributes:
        f: potential of x `[n]`.
        g: potential of y `[m]`.
        evidence: "iterations", those after the ε-scaling, and "converged", 1 where the marginals' L1 error is below the
            threshold, else 0; float32, as metrics are.
    """

    f: jax.Array
    g: jax.Array
    evidence: Metrics


def solve(
    x: jax.Array,
    y: jax.Array,
    *,
    epsilon: float | jax.Array,
    max_iterations: int,
    threshold: float | jax.Array,
    symmetric: bool = False,
) -> Plan:
    """The potentials of OT_ε(x, y); nothing can be differentiated.

    Args:
        x: cloud `[n, d]`, equal weights.
        y: cloud `[m, d]`, equal weights.
        epsilon: entropic regularisation, in units of distance.
        max_iterations: bound on Sinkhorn iterations, which come by tens.
        threshold: the solver stops when the marginals' L1 error is below.
        symmetric: y is x, and so is its potential.
    """
    x, y = _centred(x, y)
    averaged = dict(parallel_dual_updates=True, momentum=acceleration.Momentum(value=0.5)) if symmetric else {}
    solver = functools.partial(sinkhorn.Sinkhorn, threshold=threshold, **averaged)
    if _dense(x, y):
        geom = geometry.Geometry(cost_matrix=Distance().all_pairs(x, y), epsilon=epsilon)
        return _by_kernels(geom, _scaled(geom, _diameter(x, y), symmetric), solver, max_iterations, symmetric)
    geom = Blocks(x, y, cost_fn=Distance(), epsilon=epsilon)
    return _by_blocks(geom, _scaled(geom, _diameter(x, y), symmetric), solver, max_iterations)


def _by_kernels(
    geom: geometry.Geometry, start: Potentials, solver: Solver, max_iterations: int, symmetric: bool
) -> Plan:
    """Rounds of iterations with a kernel that is formed anew at the potentials reached."""
    rounds = math.ceil(max_iterations / ROUND)
    iterate = solver(max_iterations=math.ceil(max_iterations / rounds), lse_mode=False)

    def go_on(plan: Plan) -> jax.Array:
        return (plan.evidence["converged"] == 0) & (plan.evidence["iterations"] < max_iterations)

    def absorb(plan: Plan) -> Plan:
        f, g = _update(geom, (plan.f, plan.g), geom.epsilon, symmetric)
        kernel = jnp.exp((f[:, None] + g - geom.cost_matrix) / geom.epsilon) / geom.cost_matrix.size
        solved = iterate(linear_problem.LinearProblem(Kernel(kernel_matrix=kernel, epsilon=geom.epsilon)))
        # Scalings that left float32's range say nothing; the potentials before them do.
        f, g = (old + jnp.where(jnp.isfinite(new), new, 0) for old, new in ((f, solved.f), (g, solved.g)))
        return Plan(f, g, _evidence(plan.evidence["iterations"] + solved.n_iters, solved.converged))

    return jax.lax.while_loop(go_on, absorb, Plan(*start, _evidence(0, False)))


def _by_blocks(geom: Blocks, start: Potentials, solver: Solver, max_iterations: int) -> Plan:
    """Iterations in the log domain, which compute the costs anew."""
    n, m = geom.shape
    shift = geom.epsilon * math.log(n * m) / 2  # OTT's plan is exp((f + g − C)/ε), without our 1/(nm)
    f, g = (each - shift for each in start)
    solved = solver(max_iterations=max_iterations)(linear_problem.LinearProblem(geom), (f, g))
    return Plan(solved.f + shift, solved.g + shift, _evidence(solved.n_iters, solved.converged))


def _evidence(iterations: int | jax.Array, converged: bool | jax.Array) -> Metrics:
    return {"iterations": jnp.float32(iterations), "converged": jnp.float32(converged)}


def _dense(x: jax.Array, y: jax.Array) -> bool:
    return len(x) * len(y) <= DENSE


def _centred(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Distances forget a common offset, float32 does not."""
    centre = jnp.mean(y, axis=0)
    return x - centre, y - centre


def _diameter(x: jax.Array, y: jax.Array) -> jax.Array:
    """Of centred clouds; no two points are further apart."""
    return sum(jnp.sqrt(jnp.max(jnp.sum(z**2, axis=1))) for z in (x, y))


def _update(geom: geometry.Geometry, at: Potentials, epsilon: jax.Array, symmetric: bool) -> Potentials:
    """One Sinkhorn iteration in the log domain: g ← T f, f ← T g; symmetric: f ← ½ (f + T f)."""
    n, m = geom.shape
    f, g = at
    if symmetric:
        f = (f - geom.apply_lse_kernel(f, g, epsilon, axis=1)[0] + epsilon * math.log(m)) / 2
        return f, f
    g = epsilon * math.log(n) - geom.apply_lse_kernel(f, g, epsilon, axis=0)[0]
    return epsilon * math.log(m) - geom.apply_lse_kernel(f, g, epsilon, axis=1)[0], g


def _scaled(geom: geometry.Geometry, diameter: jax.Array, symmetric: bool) -> Potentials:
    """Potentials after an iteration at each of diameter/2, diameter/4, … above ε; zeros where there are none."""

    def halve(state: tuple[Potentials, jax.Array]) -> tuple[Potentials, jax.Array]:
        at, temperature = state
        return _update(geom, at, temperature, symmetric), temperature / 2

    n, m = geom.shape
    zeros = jnp.zeros(n, diameter.dtype), jnp.zeros(m, diameter.dtype)
    return jax.lax.while_loop(lambda state: state[1] > geom.epsilon, halve, (zeros, diameter / 2))[0]


def pulls(x: jax.Array, y: jax.Array, plan: Plan, epsilon: float | jax.Array) -> tuple[jax.Array, jax.Array]:
    """What the plan sends from each point of x, and where to.

    Returns:
        Σⱼ n Pᵢⱼ `[n]`, 1 for a plan that has converged; and Σⱼ n Pᵢⱼ (yⱼ − xᵢ)/‖yⱼ − xᵢ‖ `[n, d]`, which is −n ∇ₓ OT_ε
        (envelope theorem): no row longer than 1, and coincident points add nothing.
    """

    x, y = _centred(x, y)

    def row(at: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        point, potential = at
        cost = Distance().all_pairs(point[None], y)[0]
        sent = jnp.exp((potential + plan.g - cost) / epsilon) / len(y)
        unit = sent / jnp.where(cost > 0, cost, jnp.inf)
        return jnp.sum(sent), jnp.matmul(unit, y, precision="highest") - jnp.sum(unit) * point

    if _dense(x, y):
        return jax.vmap(row)((x, plan.f))
    return jax.lax.map(row, (x, plan.f), batch_size=BLOCK)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def entropic(
    x: jax.Array,
    y: jax.Array,
    epsilon: float | jax.Array,
    threshold: float | jax.Array,
    max_iterations: int,
    symmetric: bool = False,
) -> tuple[jax.Array, Metrics]:
    """OT_ε(x, y), which can be differentiated by x and y, and the solver's evidence; for the arguments see `solve`."""
    return _forward(x, y, epsilon, threshold, max_iterations, symmetric)[0]


def _forward(x, y, epsilon, threshold, max_iterations, symmetric):
    plan = solve(x, y, epsilon=epsilon, threshold=threshold, max_iterations=max_iterations, symmetric=symmetric)
    sent, towards_y = pulls(x, y, plan, epsilon)
    value = jnp.mean(plan.f) + jnp.mean(plan.g) - epsilon * (jnp.mean(sent) - 1.0)
    back = towards_y if symmetric else pulls(y, x, plan._replace(f=plan.g, g=plan.f), epsilon)[1]
    return (value, plan.evidence), (-towards_y / len(x), -back / len(y))


def _backward(max_iterations, symmetric, gradients, cotangents):
    by_x, by_y = (cotangents[0] * each for each in gradients)
    return by_x, by_y, None, None


entropic.defvjp(_forward, _backward)


def divergence(
    x: jax.Array, y: jax.Array, *, epsilon: float, max_iterations: int, threshold: float
) -> tuple[jax.Array, Metrics]:
    """S_ε between two clouds `[n, d]` and `[m, d]` of equal weights, and how the solver fared; see `solve`.

    Returns:
        The divergence, differentiable by x and y; iterations of the cross term and whether all three problems
        converged.
    """
    value, evidence = entropic(x, y, epsilon, threshold, max_iterations)
    converged = evidence["converged"]
    for z in (x, y):
        own, fared = entropic(z, z, epsilon, threshold, max_iterations, True)
        value -= own / 2
        converged *= fared["converged"]
    return value, {**evidence, "converged": converged}
