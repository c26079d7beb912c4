"""Eight seeds in one program, next to the same eight one after another.

    python benchmarks/sweep_together.py [--config configs/lsdm_digits.py] [--seeds 8] [--steps 100]

Steps of every trained stage of the config; compilation is stated apart. One by one, each seed compiles a program of its
own. The stages before are untrained: what a step costs does not depend on it.
"""

import argparse
import time
from collections.abc import Sequence

import jax
import numpy as np
from machine import machine  # of this folder

from experiment_jax import load_config
from experiment_jax.data import split as data
from experiment_jax.devices import placement as parallel
from experiment_jax.method.build import build, job
from experiment_jax.method.stage import Frozen
from experiment_jax.method.task import Job
from experiment_jax.sweep import together
from experiment_jax.training import step as programs
from experiment_jax.training.step import Program


def seconds(program: Program, steps: int) -> tuple[float, float]:
    """How long compilation and the first dispatch take, and then `steps` further dispatches."""
    each = program.jobs[0].section.steps_per_dispatch
    start = time.perf_counter()
    state, _ = jax.block_until_ready(program.advance(program.initial(), 0))
    compiled = time.perf_counter()
    for number in range(1, steps + 1):
        state, _ = program.advance(state, number * each)
    jax.block_until_ready(state)
    return compiled - start, time.perf_counter() - compiled


def compared(jobs: Sequence[Job], upstreams: Sequence[dict[str, Frozen]], steps: int) -> str:
    """A row of the table: one stage of all seeds."""
    singles = [programs.single(each, upstream) for each, upstream in zip(jobs, upstreams, strict=True)]
    apart = np.array([seconds(program, steps) for program in singles]).sum(axis=0)
    joint = seconds(together.program(jobs, upstreams, lambda values: jobs[0].stage, {}), steps)
    scale = 1e3 / (steps * jobs[0].section.steps_per_dispatch)
    times = f"{scale * apart[1]:.1f} | {scale * joint[1]:.1f} | {apart[0]:.1f} / {joint[0]:.1f}"
    return f"| {jobs[0].name} | {apart[1] / joint[1]:.2f} | {times} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/lsdm_digits.py")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100)
    flags = parser.parse_args()

    mesh = parallel.mesh(jax.devices()[:1])
    members = [load_config(flags.config, {"seed": seed}) for seed in range(flags.seeds)]
    parts = [build(config, data.load(config.data, config.seed)) for config in members]
    upstreams: list[dict[str, Frozen]] = [{} for _ in members]
    print(f"{flags.config}, {flags.seeds} seeds, {flags.steps} dispatches; {machine()}\n")
    print("| stage | one by one / together | one by one, ms a step of all | together | compilation, s |")
    print("|---|---|---|---|---|")
    for stages in zip(*parts, strict=True):
        jobs: list[Job] = [job(part, config, mesh) for part, config in zip(stages, members, strict=True)]
        if stages[0].context.total_steps:
            print(compared(jobs, upstreams, flags.steps))
        for part, each, upstream in zip(stages, jobs, upstreams, strict=True):
            state = programs.single(each, upstream).initial()
            upstream[each.name] = jax.tree.map(np.asarray, part.stage.finish(state, part.view, upstream))


if __name__ == "__main__":
    main()
