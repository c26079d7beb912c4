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
* Convergence is judged by the marginals of the plan that the gradient uses. Where ε is below the rounding error of the
  costs, these marginals look right, but the plan solves rounded costs. So a few distances are computed again from
  differences, and compared.
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

from lsdm_jax.costs import BLOCK, Blocks, Distance, Kernel, centred, diameter

Metrics = Mapping[str, jax.Array]  # "iterations", after the ε-scaling, and "converged", 1 or 0; float32
Solver = Callable[..., sinkhorn.Sinkhorn]
Potentials = tuple[jax.Array, jax.Array]  # f [n] of x and g [m] of y

ROUND = 100  # iterations between two absorptions
PROBES = 32  # points of a problem, at most, at which the rounding of costs is measured
DENSE = 2**24  # entries of the largest cost matrix that is kept: 4,096 × 4,096, 64 MiB


class Plan(NamedTuple):
    """A solved problem.

    Attributes:
        f: potential of x `[n]`.
        g: potential of y `[m]`.
        iterations: after the ε-scaling; float32, as metrics are.
    """

    f: jax.Array
    g: jax.Array
    iterations: jax.Array


class Pulls(NamedTuple):
    """What a plan sends, and where to.

    Attributes:
        sent: Σⱼ n Pᵢⱼ `[n]`, 1 for a plan that has converged.
        received: Σᵢ m Pᵢⱼ `[m]`, likewise.
        misplaced: what of it rounding of costs accounts for, see `_misplaced`.
        of_x: Σⱼ n Pᵢⱼ (yⱼ − xᵢ)/‖yⱼ − xᵢ‖ `[n, d]`, which is −n ∇ₓ OT_ε (envelope theorem): no row longer than 1, and
            coincident points add nothing.
        of_y: Σᵢ m Pᵢⱼ (xᵢ − yⱼ)/‖xᵢ − yⱼ‖ `[m, d]`, likewise.
    """

    sent: jax.Array
    received: jax.Array
    misplaced: jax.Array
    of_x: jax.Array
    of_y: jax.Array

    def converged(self, threshold: float | jax.Array) -> jax.Array:
        """1 where the L1 errors of both marginals and of rounding are below, else 0, as where they are NaN; float32."""
        errors = self.sent - 1.0, self.received - 1.0, self.misplaced
        return jnp.float32(jnp.max(jnp.stack([jnp.mean(jnp.abs(each)) for each in errors])) < threshold)


def solve(
    x: jax.Array,
    y: jax.Array,
    *,
    epsilon: float | jax.Array,
    max_iterations: int,
    threshold: float | jax.Array,
    symmetric: bool = False,
    fixed: int = 0,
) -> Plan:
    """The potentials of OT_ε(x, y); nothing can be differentiated.

    Args:
        x: cloud `[n, d]`, equal weights.
        y: cloud `[m, d]`, equal weights.
        epsilon: entropic regularisation, in units of distance.
        max_iterations: bound on Sinkhorn iterations, which come by tens.
        threshold: the solver stops when the marginals' L1 error is below.
        symmetric: y is x, and so is its potential.
        fixed: how many coordinates, the first, are of the condition, see `Distance`.
    """
    x, y = centred(x, y)
    cost = Distance(fixed)
    averaged = dict(parallel_dual_updates=True, momentum=acceleration.Momentum(value=0.5)) if symmetric else {}
    solver = functools.partial(sinkhorn.Sinkhorn, threshold=threshold, **averaged)
    if _dense(x, y):
        geom = geometry.Geometry(cost_matrix=cost.all_pairs(x, y), epsilon=epsilon)
        return _by_kernels(geom, _scaled(geom, diameter(x, y), symmetric), solver, max_iterations, symmetric)
    geom = Blocks(x, y, cost_fn=cost, epsilon=epsilon)
    return _by_blocks(geom, _scaled(geom, diameter(x, y), symmetric), solver, max_iterations)


def _by_kernels(
    geom: geometry.Geometry, start: Potentials, solver: Solver, max_iterations: int, symmetric: bool
) -> Plan:
    """Rounds of iterations with a kernel that is formed anew at the potentials reached."""
    rounds = math.ceil(max_iterations / ROUND)
    iterate = solver(max_iterations=math.ceil(max_iterations / rounds), lse_mode=False)

    def go_on(state: tuple[Plan, jax.Array]) -> jax.Array:
        plan, done = state
        return ~done & (plan.iterations < max_iterations)

    def absorb(state: tuple[Plan, jax.Array]) -> tuple[Plan, jax.Array]:
        plan, _ = state
        f, g = _update(geom, (plan.f, plan.g), geom.epsilon, symmetric)
        kernel = jnp.exp((f[:, None] + g - geom.cost_matrix) / geom.epsilon) / geom.cost_matrix.size
        solved = iterate(linear_problem.LinearProblem(Kernel(kernel_matrix=kernel, epsilon=geom.epsilon)))
        # Scalings that left float32's range say nothing; the potentials before them do.
        f, g = (old + jnp.where(jnp.isfinite(new), new, 0) for old, new in ((f, solved.f), (g, solved.g)))
        return Plan(f, g, plan.iterations + solved.n_iters), solved.converged

    return jax.lax.while_loop(go_on, absorb, (Plan(*start, jnp.float32(0)), jnp.bool_(False)))[0]


def _by_blocks(geom: Blocks, start: Potentials, solver: Solver, max_iterations: int) -> Plan:
    """Iterations in the log domain, which compute the costs anew."""
    n, m = geom.shape
    shift = geom.epsilon * math.log(n * m) / 2  # OTT's plan is exp((f + g − C)/ε), without our 1/(nm)
    f, g = (each - shift for each in start)
    solved = solver(max_iterations=max_iterations)(linear_problem.LinearProblem(geom), (f, g))
    return Plan(solved.f + shift, solved.g + shift, jnp.float32(solved.n_iters))


def _dense(x: jax.Array, y: jax.Array) -> bool:
    return len(x) * len(y) <= DENSE


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


def pulls(x: jax.Array, y: jax.Array, plan: Plan, epsilon: float | jax.Array, fixed: int = 0) -> Pulls:
    """What the plan sends from each point of x and brings to each of y, and where to; for the arguments see `solve`."""
    x, y = centred(x, y)
    n, m = len(x), len(y)
    misplaced = _misplaced(x, y, plan, epsilon, fixed)

    def block(of_y: tuple[jax.Array, jax.Array], at: tuple[jax.Array, jax.Array]):
        points, potential = at
        cost = Distance(fixed).all_pairs(points, y)
        sent = jnp.exp((potential[:, None] + plan.g - cost) / epsilon)
        unit = sent / jnp.where(cost == 0, jnp.inf, cost)
        product = functools.partial(jnp.matmul, precision="highest")
        of_x = product(unit, y) - jnp.sum(unit, axis=1, keepdims=True) * points
        back = product(unit.T, points) - jnp.sum(unit, axis=0)[:, None] * y
        return (of_y[0] + jnp.sum(sent, axis=0) / n, of_y[1] + back / n), (jnp.sum(sent, axis=1) / m, of_x / m)

    nothing = jnp.zeros_like(plan.g), jnp.zeros_like(y)
    if _dense(x, y):
        (received, of_y), (sent, of_x) = block(nothing, (x, plan.f))
        return Pulls(sent, received, misplaced, of_x, of_y)
    missing = -n % BLOCK  # rows that fill the last block, from which nothing is sent
    points = jnp.pad(x, ((0, missing), (0, 0))).reshape(-1, BLOCK, x.shape[1])
    potentials = jnp.pad(plan.f, (0, missing), constant_values=-jnp.inf).reshape(-1, BLOCK)
    (received, of_y), blocks = jax.lax.scan(block, nothing, (points, potentials))
    sent, of_x = (each.reshape(-1, *each.shape[2:])[:n] for each in blocks)
    return Pulls(sent, received, misplaced, of_x, of_y)


def _misplaced(x: jax.Array, y: jax.Array, plan: Plan, epsilon: float | jax.Array, fixed: int) -> jax.Array:
    """The share of mass that rounding of costs misplaces, n Pᵢⱼ |error of Cᵢⱼ|/ε, a scalar.

    Estimated at up to PROBES points xᵢ, each with the yⱼ that gets most of its mass.
    """
    points, potential = (each[:: -(-len(x) // PROBES)] for each in (x, plan.f))
    distance = Distance(fixed)
    cost = distance.all_pairs(points, y)
    sent = jnp.exp((potential[:, None] + plan.g - cost) / epsilon) / len(y)
    most = jnp.argmax(sent, axis=1)
    error = jax.vmap(distance)(points, y[most]) - jnp.take_along_axis(cost, most[:, None], axis=1)[:, 0]
    return jnp.mean(jnp.max(sent, axis=1) * jnp.abs(error)) / epsilon


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def entropic(
    x: jax.Array,
    y: jax.Array,
    epsilon: float | jax.Array,
    threshold: float | jax.Array,
    max_iterations: int,
    symmetric: bool = False,
    fixed: int = 0,
) -> tuple[jax.Array, Metrics]:
    """OT_ε(x, y), which can be differentiated by x and y, and how the solver fared; for the arguments see `solve`."""
    return _forward(x, y, epsilon, threshold, max_iterations, symmetric, fixed)[0]


def _forward(x, y, epsilon, threshold, max_iterations, symmetric, fixed):
    solver = dict(epsilon=epsilon, threshold=threshold, max_iterations=max_iterations)
    plan = solve(x, y, **solver, symmetric=symmetric, fixed=fixed)
    pulled = pulls(x, y, plan, epsilon, fixed)
    value = jnp.mean(plan.f) + jnp.mean(plan.g) - epsilon * (jnp.mean(pulled.sent) - 1.0)
    metrics = {"iterations": plan.iterations, "converged": pulled.converged(threshold)}
    return (value, metrics), (-pulled.of_x / len(x), -(pulled.of_x if symmetric else pulled.of_y) / len(y))


def _backward(max_iterations, symmetric, fixed, gradients, cotangents):
    by_x, by_y = (cotangents[0] * each for each in gradients)
    return by_x, by_y, None, None


entropic.defvjp(_forward, _backward)


def divergence(
    x: jax.Array, y: jax.Array, *, epsilon: float, max_iterations: int, threshold: float, fixed: int = 0
) -> tuple[jax.Array, Metrics]:
    """S_ε between two clouds `[n, d]` and `[m, d]` of equal weights, and how the solver fared; see `solve`.

    Returns:
        The divergence, differentiable by x and y; iterations of the cross term and whether all three problems
        converged.
    """
    value, metrics = entropic(x, y, epsilon, threshold, max_iterations, False, fixed)
    converged = metrics["converged"]
    for z in (x, y):
        own, fared = entropic(z, z, epsilon, threshold, max_iterations, True, fixed)
        value -= own / 2
        converged *= fared["converged"]
    return value, {**metrics, "converged": converged}
