"""How fast runs draw: latents alone, and images with them.

    python benchmarks/sampling.py DIR [DIR ...]

Ratios are to the first run. 10,000 samples in batches of the config's size, best of five rounds in turn; compilation is
left out.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from machine import machine  # of this folder

from experiment_jax import load_run

COUNT, ROUNDS = 10_000, 5


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdirs", nargs="+", metavar="DIR", help="finished runs that sample")
    flags = parser.parse_args()
    runs = [load_run(workdir) for workdir in flags.workdirs]
    draws = [
        lambda run=run, draw=draw: draw(run)(np.arange(COUNT, dtype=np.int32) % run.dataset.num_classes)
        for run in runs
        for draw in (lambda run: run.sample_latents, lambda run: run.sample)
    ]
    for draw in draws:
        draw()
    times = np.min([[seconds(draw) for draw in draws] for _ in range(ROUNDS)], axis=0).reshape(-1, 2)
    print("| run | latents/s, ratio to the first | images/s, ratio | nfe | latents/s | images/s |")
    print("|---|---|---|---|---|---|")
    for run, own in zip(runs, times, strict=True):
        ratios = " | ".join(f"{ratio:.2f}" for ratio in times[0] / own)
        rates = " | ".join(f"{rate:,.0f}" for rate in COUNT / own)
        print(f"| {run.workdir.name} | {ratios} | {run.model.nfe} | {rates} |")
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
