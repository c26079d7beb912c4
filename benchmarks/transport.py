"""Value and gradient of the Sinkhorn divergence, next to geomloss, POT and plain OTT.

    python benchmarks/transport.py [--points 512] [--features 64] [--epsilon 5 1 0.3]

Two normal clouds of other spread and mean. The first table compares the project's divergence with geomloss's
(`SamplesLoss("sinkhorn", p=1, backend="tensorized")`, whose `blur` is ε for p = 1) and POT's, and says how far each is
from S_ε solved in float64 until potentials stand still, and from W₁ by the network simplex. The second undoes one
choice of `lsdm_jax.transport` after another. The third grows points and features; above 4,096 points no matrix is kept.
"""

import argparse
import math
import os
from collections.abc import Callable

import divergences  # of this folder
import jax
import numpy as np
import ot
import table
import torch
import torch_divergences
from clock import milliseconds
from divergences import SHIPPED
from machine import machine
from ott.geometry import costs, epsilon_scheduler, geometry, pointcloud
from ott.solvers import linear
from ott.solvers.linear import acceleration
from scipy.spatial.distance import cdist

from lsdm_jax import transport
from lsdm_jax.costs import Distance

SIZES = ((64, 64), (512, 8), (512, 64), (512, 256), (4096, 64), (8192, 64))  # points, features


def choices(x: np.ndarray, y: np.ndarray, epsilon: float) -> dict[str, Callable[[], object]]:
    """Potentials and pulls of the cross term: as they are computed, and with one choice after another undone."""
    solver = dict(epsilon=epsilon, **SHIPPED)
    shift = epsilon * math.log(len(x) * len(y)) / 2  # OTT's potentials are of a plan without our 1/(nm)

    def side(solve: Callable[[jax.Array, jax.Array], transport.Plan]) -> Callable[[], object]:
        compiled = jax.jit(lambda x, y: transport.pulls(x, y, solve(x, y), epsilon).of_x)
        return lambda: compiled(x, y)

    def plain(cloud: Callable[[jax.Array, jax.Array], geometry.Geometry], **options: object) -> Callable[[], object]:
        def solve(x: jax.Array, y: jax.Array) -> transport.Plan:
            solved = linear.solve(cloud(x, y), **SHIPPED | options)
            return transport.Plan(solved.f + shift, solved.g + shift, solved.n_iters)

        return side(solve)

    diameter = sum(np.linalg.norm(z - y.mean(axis=0), axis=1).max() for z in (x, y))
    scaled = epsilon_scheduler.Epsilon(epsilon, init=diameter / 2 / epsilon, decay=0.5)

    def once(x: jax.Array, y: jax.Array, epsilon: object = epsilon) -> geometry.Geometry:
        return geometry.Geometry(cost_matrix=Distance().all_pairs(x, y), epsilon=epsilon)

    def anew(x: jax.Array, y: jax.Array) -> geometry.Geometry:
        return pointcloud.PointCloud(x, y, cost_fn=costs.Euclidean(), epsilon=epsilon)

    return {
        "as it is": side(lambda x, y: transport.solve(x, y, **solver)),
        "threshold 1e-4 for 1e-2": side(lambda x, y: transport.solve(x, y, **solver | dict(threshold=1e-4))),
        "log-sum-exps for kernels": plain(lambda x, y: once(x, y, scaled)),
        "and no ε-scaling": plain(once),
        "and momentum by Lehmann": plain(once, momentum=acceleration.Momentum(start=20)),
        "in its place, costs anew in every iteration": plain(anew),
    }


def iterations(x: np.ndarray, y: np.ndarray, epsilon: float) -> int:
    """Of the cross term, after the ε-scaling; no start could save more than these."""
    return int(jax.jit(lambda x, y: transport.solve(x, y, epsilon=epsilon, **SHIPPED).iterations)(x, y))


def errors(points: int, features: int, epsilons: list[float]) -> None:
    """The first table."""
    x, y = divergences.clouds(points, features)
    w1 = ot.emd2([], [], cdist(x.astype(float), y.astype(float)), numItermax=10_000_000)
    print(f"\n{points} points in {features} dimensions; W₁ = {w1:.3f}")
    print()
    table.head("ε", "", "time / ours", "ms", "error of S_ε", "of its gradient", "S_ε − W₁")
    for epsilon in epsilons:
        sides = {
            "ours": divergences.ours(x, y, epsilon),
            "ours, threshold 1e-4": divergences.ours(x, y, epsilon, threshold=1e-4),
            "geomloss, scaling 0.5": torch_divergences.in_geomloss(x, y, epsilon, 0.5),
            "geomloss, scaling 0.8": torch_divergences.in_geomloss(x, y, epsilon, 0.8),
            "POT": torch_divergences.in_pot(x, y, epsilon),
            "OTT's `sinkdiv`": divergences.plain_ott(x, y, epsilon),
        }
        value, gradient = divergences.converged(x, y, epsilon)
        times = milliseconds(list(sides.values()), rounds=5)
        for (name, side), time in zip(sides.items(), times, strict=True):
            own, slope = (np.asarray(part) for part in side())
            error = np.linalg.norm(slope - gradient) / np.linalg.norm(gradient)
            found = f"{abs(own - value):.0e} | {error:.0e} | {own - w1:+.3f}"
            print(f"| {epsilon:g} | {name} | {time / times[0]:.2f} | {time:.1f} | {found} |", flush=True)


def undone(points: int, features: int, epsilons: list[float]) -> None:
    """The second table."""
    print()
    table.head("ε", "potentials and pulls of one problem", "time / as it is", "ms")
    for epsilon in epsilons:
        sides = choices(*divergences.clouds(points, features), epsilon)
        times = milliseconds(list(sides.values()), rounds=5)
        for name, time in zip(sides, times, strict=True):
            print(f"| {epsilon:g} | {name} | {time / times[0]:.1f} | {time:.1f} |", flush=True)


def sizes(epsilons: list[float]) -> None:
    """The third table."""
    print()
    table.head("points", "features", "ε", "geomloss / ours", "ours, ms", "geomloss, ms", "iterations")
    for points, features in SIZES:
        x, y = divergences.clouds(points, features)
        for epsilon in epsilons if points <= 4096 else epsilons[:1]:  # a call of geomloss's takes 16 s there
            mine, theirs = milliseconds(
                [divergences.ours(x, y, epsilon), torch_divergences.in_geomloss(x, y, epsilon, 0.5)], rounds=3
            )
            numbers = f"{theirs / mine:.2f} | {mine:.1f} | {theirs:.1f} | {iterations(x, y, epsilon)}"
            print(f"| {points:,} | {features} | {epsilon:g} | {numbers} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=512)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--epsilon", type=float, nargs="+", default=[5.0, 1.0, 0.3])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of PyTorch")
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    print(f"{machine()}, torch {torch.__version__}")
    errors(flags.points, flags.features, flags.epsilon)
    undone(flags.points, flags.features, flags.epsilon)
    sizes(flags.epsilon)


if __name__ == "__main__":
    main()
