"""Eight seeds in one program, next to the same eight one after another.

    python benchmarks/sweep_together.py [--config configs/lsdm_digits.py] [--seeds 8] [--steps 100]

Steps of every trained stage of the config; compilation is stated apart. One by one, each seed compiles a program of its
own. The stages before are untrained: what a step costs does not depend on it.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from machine import machine  # of this folder
from ml_collections import ConfigDict

from experiment_jax import load_config
from experiment_jax.data.load import load
from experiment_jax.devices.mesh import Devices
from experiment_jax.method.build import Task, build
from experiment_jax.method.stage import Upstream
from experiment_jax.sweep.joint import JointSteps
from experiment_jax.training.step import Steps


class Row(NamedTuple):
    """One stage of all seeds.

    Attributes:
        stage: its name.
        apart: ms a step of all seeds, one after another.
        together: ms of the same in one program.
        apart_compilation: seconds, of a program a seed.
        compilation: seconds, of the one program.
    """

    stage: str
    apart: float
    together: float
    apart_compilation: float
    compilation: float


def seconds(steps: Steps | JointSteps, each: int, dispatches: int) -> tuple[float, float]:
    """How long compilation and the first dispatch, of `each` steps, take, and then `dispatches` further ones."""
    start = time.perf_counter()
    state, _ = jax.block_until_ready(steps(steps.start(), 0))
    compiled = time.perf_counter()
    for number in range(1, dispatches + 1):
        state, _ = steps(state, number * each)
    jax.block_until_ready(state)
    return compiled - start, time.perf_counter() - compiled


def compared(tasks: Sequence[Task], upstreams: Sequence[Upstream], devices: Devices, dispatches: int) -> Row:
    """One stage of all seeds."""
    first, each = tasks[0], tasks[0].schedule.dispatch
    singles = [Steps(task, upstream, devices) for task, upstream in zip(tasks, upstreams, strict=True)]
    apart = np.array([seconds(steps, each, dispatches) for steps in singles]).sum(axis=0)
    joint = seconds(JointSteps(tasks, upstreams, devices, lambda numbers: first, {}), each, dispatches)
    scale = 1e3 / (dispatches * each)
    return Row(first.name, scale * apart[1], scale * joint[1], apart[0], joint[0])


def measured(members: Sequence[ConfigDict], dispatches: int) -> Iterator[Row]:
    """Every trained stage of several configs that differ in their seeds, `dispatches` calls of each program."""
    devices = Devices.of(jax.devices()[:1])
    runs = [build(config, load(config.data, config.seed)) for config in members]
    upstreams: list[dict[str, Any]] = [{} for _ in members]
    for tasks in zip(*runs, strict=True):
        if tasks[0].schedule.total:
            yield compared(tasks, upstreams, devices, dispatches)
        if tasks[0] is runs[0][-1]:
            return
        for task, upstream in zip(tasks, upstreams, strict=True):
            state = task.initial(task.key, upstream)
            upstream[task.name] = jax.tree.map(np.asarray, task.stage.finish(state, task.view, upstream))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/lsdm_digits.py")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100)
    flags = parser.parse_args()

    members = [load_config(flags.config, {"seed": seed}) for seed in range(flags.seeds)]
    print(f"{flags.config}, {flags.seeds} seeds, {flags.steps} dispatches; {machine()}\n")
    print("| stage | one by one / together | one by one, ms a step of all | together | compilation, s |")
    print("|---|---|---|---|---|")
    for row in measured(members, flags.steps):
        times = f"{row.apart:.1f} | {row.together:.1f} | {row.apart_compilation:.1f} / {row.compilation:.1f}"
        print(f"| {row.stage} | {row.apart / row.together:.2f} | {times} |", flush=True)


if __name__ == "__main__":
    main()
