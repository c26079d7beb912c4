"""Value and gradient of the Sinkhorn divergence, next to geomloss, POT and plain OTT.

    python benchmarks/transport.py [--points 512] [--features 64] [--epsilon 5 1 0.3]

Two normal clouds of other spread and mean. The first table sets the project's divergence beside geomloss's
(`SamplesLoss("sinkhorn", p=1, backend="tensorized")`, whose `blur` is ε for p = 1) and POT's, and says how far each is
from S_ε solved in float64 until potentials stand still, and from W₁ by the network simplex. The second undoes one
choice of `lsdm_jax.transport` at a time.
"""

import argparse
import os
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import ot
import torch
from clock import milliseconds  # of this folder
from geomloss import SamplesLoss
from machine import machine
from ott.geometry import costs, geometry, pointcloud
from ott.solvers import linear
from ott.solvers.linear import acceleration
from ott.tools import sinkhorn_divergence
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from lsdm_jax import transport

SHIPPED = dict(max_iterations=200, threshold=1e-2)
Result = tuple[float, np.ndarray]  # value and gradient by the first cloud


def clouds(points: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((2, points, features), dtype=np.float32)
    return np.float32(0.8) * x, y + np.float32(0.3)


def converged(x: np.ndarray, y: np.ndarray, epsilon: float) -> Result:
    """S_ε and its gradient in float64, no potential moving by more than 1e-9 any more."""
    (value, slope), (own_x, own_slope), (own_y, _) = (_entropic(*pair, epsilon) for pair in ((x, y), (x, x), (y, y)))
    return value - (own_x + own_y) / 2, slope - own_slope


def _entropic(x: np.ndarray, y: np.ndarray, epsilon: float) -> Result:
    cost = cdist(x.astype(float), y.astype(float))
    f, moved = np.zeros(len(x)), np.inf
    while moved > 1e-9:
        g = epsilon * (np.log(len(x)) - logsumexp((f[:, None] - cost) / epsilon, axis=0))
        new = epsilon * (np.log(len(y)) - logsumexp((g - cost) / epsilon, axis=1))
        new = (new + f) / 2 if x is y else new
        f, moved = new, np.abs(new - f).max()
    unit = np.exp((f[:, None] + g - cost) / epsilon) / cost.size / np.where(cost > 0, cost, np.inf)
    return f.mean() + g.mean(), unit.sum(axis=1, keepdims=True) * x - unit @ y


def ours(x: np.ndarray, y: np.ndarray, epsilon: float, **solver: float) -> Callable[[], tuple]:
    compiled = jax.jit(
        jax.value_and_grad(lambda x, y: transport.divergence(x, y, epsilon=epsilon, **SHIPPED | solver)[0])
    )
    on_device = jnp.asarray(x), jnp.asarray(y)
    return lambda: compiled(*on_device)


def in_geomloss(x: np.ndarray, y: np.ndarray, epsilon: float, scaling: float) -> Callable[[], tuple]:
    loss = SamplesLoss("sinkhorn", p=1, blur=epsilon, scaling=scaling, debias=True, backend="tensorized")
    x, y = torch.tensor(x, requires_grad=True), torch.tensor(y)

    def run() -> tuple:
        value = loss(x, y)
        return value.detach(), torch.autograd.grad(value, x)[0]

    return run


def in_pot(x: np.ndarray, y: np.ndarray, epsilon: float) -> Callable[[], tuple]:
    x, y = torch.tensor(x, requires_grad=True), torch.tensor(y)

    def run() -> tuple:
        terms = [
            ot.solve(torch.cdist(*pair), reg=epsilon, reg_type="KL", tol=1e-4, max_iter=1000, grad="envelope").value
            for pair in ((x, y), (x, x), (y, y))
        ]
        value = terms[0] - (terms[1] + terms[2]) / 2
        return value.detach(), torch.autograd.grad(value, x)[0]

    return run


def plain_ott(x: np.ndarray, y: np.ndarray, epsilon: float) -> Callable[[], tuple]:
    def value(x: jax.Array, y: jax.Array) -> jax.Array:
        options = dict(cost_fn=costs.Euclidean(), epsilon=epsilon, solve_kwargs=SHIPPED)
        return sinkhorn_divergence.sinkdiv(x, y, **options)[0]

    compiled = jax.jit(jax.value_and_grad(value))
    return lambda: compiled(x, y)


def row(time: float, first: float, found: tuple, exact: Result, w1: float) -> str:
    value, gradient = (np.asarray(part) for part in found)
    error = np.linalg.norm(gradient - exact[1]) / np.linalg.norm(exact[1])
    return f"{time / first:.2f} | {time:.1f} | {abs(value - exact[0]):.0e} | {error:.0e} | {value - w1:+.3f} |"


def choices(x: np.ndarray, y: np.ndarray, epsilon: float) -> dict[str, Callable[[], object]]:
    """Potentials and pulls of the cross term: as they are computed, and with some choice undone."""
    solver = dict(epsilon=epsilon, **SHIPPED)

    def side(solve: Callable[[jax.Array, jax.Array], transport.Plan]) -> Callable[[], object]:
        compiled = jax.jit(lambda x, y: transport.pulls(x, y, solve(x, y), epsilon))
        return lambda: compiled(x, y)

    def plain(cloud: Callable[[jax.Array, jax.Array], geometry.Geometry], **options: object) -> Callable[[], object]:
        def solve(x: jax.Array, y: jax.Array) -> transport.Plan:
            solved, shift = linear.solve(cloud(x, y), **SHIPPED | options), epsilon * np.log(len(x) * len(y)) / 2
            return transport.Plan(solved.f + shift, solved.g + shift, {})

        return side(solve)

    def once(x: jax.Array, y: jax.Array) -> geometry.Geometry:
        return geometry.Geometry(cost_matrix=transport.Distance().all_pairs(x, y), epsilon=epsilon)

    def anew(x: jax.Array, y: jax.Array) -> geometry.Geometry:
        return pointcloud.PointCloud(x, y, cost_fn=costs.Euclidean(), epsilon=epsilon)

    return {
        "as it is": side(lambda x, y: transport.solve(x, y, **solver)),
        "threshold 1e-4 for 1e-2": side(lambda x, y: transport.solve(x, y, **solver | dict(threshold=1e-4))),
        "log-sum-exps for kernels, no ε-scaling": plain(once),
        "the same, momentum by Lehmann": plain(once, momentum=acceleration.Momentum(start=20)),
        "the same, costs anew in every iteration": plain(anew),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=512)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--epsilon", type=float, nargs="+", default=[5.0, 1.0, 0.3])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of PyTorch")
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    x, y = clouds(flags.points, flags.features)
    w1 = ot.emd2([], [], cdist(x.astype(float), y.astype(float)), numItermax=10_000_000)
    print(
        f"{flags.points} points in {flags.features} dimensions; W₁ = {w1:.3f}; {machine()}, torch {torch.__version__}\n"
    )
    print("| ε | | time / ours | ms | error of S_ε | of its gradient | S_ε − W₁ |\n|---|---|---|---|---|---|---|")
    for epsilon in flags.epsilon:
        sides = {
            "ours": ours(x, y, epsilon),
            "ours, threshold 1e-4": ours(x, y, epsilon, threshold=1e-4),
            "geomloss, scaling 0.5": in_geomloss(x, y, epsilon, 0.5),
            "geomloss, scaling 0.8": in_geomloss(x, y, epsilon, 0.8),
            "POT": in_pot(x, y, epsilon),
            "OTT's `sinkdiv`": plain_ott(x, y, epsilon),
        }
        exact = converged(x, y, epsilon)
        times = milliseconds(list(sides.values()), rounds=5)
        for (name, side), time in zip(sides.items(), times, strict=True):
            print(f"| {epsilon:g} | {name} | {row(time, times[0], side(), exact, w1)}", flush=True)
    print("\n| ε | potentials and pulls of one problem | time / as it is | ms |\n|---|---|---|---|")
    for epsilon in flags.epsilon:
        sides = choices(x, y, epsilon)
        times = milliseconds(list(sides.values()), rounds=5)
        for name, time in zip(sides, times, strict=True):
            print(f"| {epsilon:g} | {name} | {time / times[0]:.1f} | {time:.1f} |", flush=True)


if __name__ == "__main__":
    main()
