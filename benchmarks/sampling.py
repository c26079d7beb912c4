"""How fast runs draw: latents alone, and images with them.

    python benchmarks/sampling.py DIR [DIR ...]

Ratios are to the first run. 10,000 samples in batches of the config's size, best of five rounds in turn; compilation is
left out.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
from machine import machine  # of this folder

from experiment_jax import Run, load_run

COUNT, ROUNDS = 10_000, 5


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def rates(runs: Sequence[Run], count: int = COUNT, rounds: int = ROUNDS) -> np.ndarray:
    """Latents and images a second of each run, `[runs, 2]`: the best of several rounds in turn.

    Args:
        runs: finished runs that sample.
        count: samples of a draw.
        rounds: in each of which every run draws.
    """
    draws = [
        lambda run=run, draw=draw: draw(run)(np.arange(count, dtype=np.int32) % run.dataset.num_classes)
        for run in runs
        for draw in (lambda run: run.sample_latents, lambda run: run.sample)
    ]
    for draw in draws:
        draw()
    times = np.min([[seconds(draw) for draw in draws] for _ in range(rounds)], axis=0)
    return count / times.reshape(-1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdirs", nargs="+", metavar="DIR", help="finished runs that sample")
    flags = parser.parse_args()
    runs = [load_run(workdir) for workdir in flags.workdirs]
    found = rates(runs)
    print("| run | latents/s, ratio to the first | images/s, ratio | nfe | latents/s | images/s |")
    print("|---|---|---|---|---|---|")
    for run, own in zip(runs, found, strict=True):
        ratios = " | ".join(f"{ratio:.2f}" for ratio in own / found[0])
        numbers = " | ".join(f"{rate:,.0f}" for rate in own)
        print(f"| {run.workdir.name} | {ratios} | {run.model.nfe} | {numbers} |")
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
