"""Runs that train in one program: a `vmap` over their states, for accelerators that one small network leaves idle.

The runs may differ in the seed and in numbers that only scale things: learning rates, β, ε, weights, penalties. Those
numbers are arguments of the program (`sweep.arguments`). Each run directory ends as if the run had trained by itself,
up to rounding. The loop is `training.loop`'s: it gets steps, a logger and checkpoints of several runs in place of
one's.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.config import durations
from experiment_jax.config.types import flat
from experiment_jax.devices import failures
from experiment_jax.errors import Unwritable, UserError
from experiment_jax.method.build import Task, build
from experiment_jax.method.stage import PyTree, Upstream
from experiment_jax.runs import directory
from experiment_jax.runs.checkpoints import Checkpoints
from experiment_jax.sweep.arguments import Argument, insert
from experiment_jax.sweep.joint import AllFailed, JointCheckpoints, JointLogger, JointSteps
from experiment_jax.training import analysis, loop
from experiment_jax.training.logger import Logger
from experiment_jax.training.profile import profiler
from experiment_jax.training.step import Steps
from experiment_jax.training.train import Preparation, train_stage

log = logging.getLogger(__name__)
Outcome = tuple[PyTree, int] | UserError  # the state to freeze and its step, or why the run failed
ADVICE = "leave --sweep_together out"


def varied(members: Mapping[str, ConfigDict]) -> tuple[str, ...]:
    """The dotted keys of the numbers in which configs differ, apart from the seed.

    Raises:
        UserError: they differ in something that one program cannot hold.
    """
    (first, config), *others = members.items()
    mine, found = flat(config), set()
    for name, other in others:
        theirs = flat(other)
        for key in sorted(mine.keys() | theirs.keys()):
            one, two = mine.get(key), theirs.get(key)
            if one == two or key == "seed" or key.partition(".")[0] in directory.EVALUATION:
                continue
            if reason := _obstacle(key, one, two, config.stages):
                raise UserError(
                    f"--sweep_together: {first} and {name} differ in {key} ({one}, {two}), {reason}; {ADVICE}"
                )
            found.add(key)
    return tuple(sorted(found))


def _obstacle(key: str, one: Any, two: Any, stages: Sequence[str]) -> str | None:
    """Why a setting with these two values cannot be an argument of one program; None: it can."""
    section, *_, name = key.split(".")
    if section not in stages or not (isinstance(one, float) and isinstance(two, float)):
        return "which is no seed and no number such as a learning rate or a weight"
    if name.rpartition("_")[2] in durations.UNITS:
        return "which decides how many steps there are"
    if not (math.isfinite(one) and math.isfinite(two)):
        return "and what is infinite is another program"
    if 0 in (one, two):
        return "and 0 leaves out what another number puts in"
    return None


def check(runs: Mapping[str, Preparation], keys: Sequence[str]) -> None:
    """Raises UserError where runs train under pmap, images are on disk, or one of the numbers `keys` in which the runs
    differ decides how a stage is built."""
    first = next(iter(runs.values()))
    if first.config.parallel != "jit":
        raise UserError(f"--sweep_together: maps over runs, not devices; type --config.parallel=jit, or {ADVICE}")
    if any(task.schedule.total and task.reads_ahead for task in first.tasks):
        raise UserError(
            f"--sweep_together: holds the images on the device; type --config.data.resident=true, or {ADVICE}"
        )
    numbers = _numbers(runs, keys)
    jax.eval_shape(lambda values: len(_rebuilt(first, numbers, values)), {key: jnp.float32(0) for key in keys})


def _numbers(runs: Mapping[str, Preparation], keys: Sequence[str]) -> dict[str, list[float]]:
    flats = [flat(run.config) for run in runs.values()]
    return {key: [each[key] for each in flats] for key in keys}


def _rebuilt(run: Preparation, numbers: Mapping[str, Sequence[float]], values: Mapping[str, jax.Array]) -> list[Task]:
    """The tasks of a run, with one member's traced `values` in place of the numbers of those names."""
    arguments = {key: Argument(value, key, numbers[key]) for key, value in values.items()}
    return build(insert(run.config, arguments), run.dataset)


def train(runs: Mapping[str, Preparation], keys: Sequence[str]) -> dict[str, UserError]:
    """Trains prepared runs stage by stage; a stage that several share is trained once.

    Args:
        runs: by name; each looks for finished stages in all of them.
        keys: of the numbers in which they differ.

    Returns:
        Of the runs that failed, why.

    Raises:
        Stopped: a signal asked to stop; the states are saved.
    """
    with ExitStack() as held:
        for run in runs.values():
            held.enter_context(run.begun())
        return _train_stages(runs, keys)


def _train_stages(runs: Mapping[str, Preparation], keys: Sequence[str]) -> dict[str, UserError]:
    upstreams: dict[str, dict[str, Any]] = {name: {} for name in runs}
    failed: dict[str, UserError] = {}
    for number, task in enumerate(next(iter(runs.values())).tasks):
        alike: dict[str, list[str]] = {}  # names of the runs that lack the stage, by its identity
        for name, run in runs.items():
            if name in failed:
                continue
            own = run.tasks[number]
            frozen = run.find(own, upstreams[name])
            if frozen is None:
                alike.setdefault(run.identity(own, upstreams[name]), []).append(name)
            else:
                upstreams[name][task.name] = frozen
        firsts = {names[0]: runs[names[0]] for names in alike.values()}
        outcomes = _train_stage(number, firsts, upstreams, keys)
        for names, outcome in zip(alike.values(), outcomes, strict=True):
            failed |= _finish(number, names, runs, upstreams, outcome)
    return failed


def _finish(
    number: int, names: Sequence[str], runs: Mapping[str, Preparation], upstreams: Mapping[str, dict], outcome: Outcome
) -> dict[str, UserError]:
    """Freezes a stage that several runs share; of the runs that failed, why."""
    first = runs[names[0]]
    task = first.tasks[number]
    if isinstance(outcome, UserError):
        return dict.fromkeys(names, outcome)
    try:
        upstreams[names[0]][task.name] = first.finish(task, *outcome, upstreams[names[0]])
    except Unwritable:
        raise
    except UserError as error:
        return dict.fromkeys(names, error)
    for name in names[1:]:
        upstreams[name][task.name] = runs[name].find(runs[name].tasks[number], upstreams[name])
    return {}


def _train_stage(
    number: int, runs: Mapping[str, Preparation], upstreams: Mapping[str, Upstream], keys: Sequence[str]
) -> list[Outcome]:
    """The outcomes of one stage of the runs."""
    if len(runs) < 2 or not next(iter(runs.values())).tasks[number].schedule.total:
        return [_train_one(run, run.tasks[number], upstreams[name]) for name, run in runs.items()]
    first = next(iter(runs.values()))
    tasks, before = [run.tasks[number] for run in runs.values()], [upstreams[name] for name in runs]
    task, numbers = tasks[0], _numbers(runs, keys)
    log.info("%s of %d runs in one program", task.name, len(runs))
    steps = JointSteps(tasks, before, first.devices, lambda values: _rebuilt(first, numbers, values)[number], numbers)
    with ExitStack() as stack:
        kept = [
            stack.enter_context(
                closing(Checkpoints(run.workdir, run.origin(own, up), own.section.keep, own.section.best, steps.like))
            )
            for run, own, up in zip(runs.values(), tasks, before, strict=True)
        ]
        failed: dict[int, UserError] = {}
        checkpoints = JointCheckpoints(kept, failed)
        done = checkpoints.latest()
        loggers = [
            Logger(
                task.name,
                run.workdir,
                task.schedule.total,
                done,
                run.validation(own, up),
                bar=run is first,
                tracker=run.tracker,
            )
            for run, own, up in zip(runs.values(), tasks, before, strict=True)
        ]
        logger = stack.enter_context(closing(JointLogger(loggers, failed)))
        if task.section.get("analyse", False) and done != task.schedule.total:  # of one run by itself
            one = Steps(task, before[0], first.devices).lower()
            analysis.report(task.name, task.section.batch_size, one, first.workdir)
        profile = stack.enter_context(profiler(task.name, first.workdir, task.section))
        try:
            with failures.memory(f"--sweep_together: {task.name} of {len(tasks)} runs", ADVICE):
                return loop.run(steps, task.schedule, logger, checkpoints, profile)
        except AllFailed:
            return [failed[member] for member in range(len(tasks))]


def _train_one(run: Preparation, task: Task, upstream: Upstream) -> Outcome:
    try:
        return train_stage(run, task, upstream)
    except Unwritable:
        raise
    except UserError as error:
        return error
