"""Runs that train in one program: a `vmap` over their states, for accelerators that one small network leaves idle.

The runs may differ in the seed and in numbers that only scale things: learning rates, β, ε, weights, penalties. Those
numbers become arguments of the program: inside of it every stage is built anew, from a config that holds them in place
of constants. Each run directory ends as if the run had trained by itself, up to rounding.
"""

import dataclasses
import functools
import json
import logging
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.config import durations
from experiment_jax.config import load as configs
from experiment_jax.devices import placement as parallel
from experiment_jax.errors import UserError
from experiment_jax.method import build as method
from experiment_jax.method.stage import Frozen, PyTree, Stage, Upstream
from experiment_jax.method.task import Job
from experiment_jax.runs import directory as run_directory
from experiment_jax.runs import reuse
from experiment_jax.training import loop
from experiment_jax.training import step as programs
from experiment_jax.training.step import Program
from experiment_jax.training.train import Prepared, digests

log = logging.getLogger(__name__)
Values = Mapping[str, jax.Array]  # settings by dotted key
ADVICE = "leave --sweep_together out"


def varied(members: Mapping[str, ConfigDict]) -> tuple[str, ...]:
    """The dotted keys of the numbers in which configs differ, apart from the seed.

    Raises:
        UserError: they differ in something that one program cannot hold.
    """
    (first, config), *others = members.items()
    flat = configs.flat(config)
    found = set()
    for name, other in others:
        theirs = configs.flat(other)
        for key in sorted(flat.keys() | theirs.keys()):
            mine, their = flat.get(key), theirs.get(key)
            if mine == their or key == "seed" or key.partition(".")[0] in run_directory.EVALUATION:
                continue
            if reason := _obstacle(key, mine, their, config.stages):
                raise UserError(
                    f"--sweep_together: {first} and {name} differ in {key} ({mine}, {their}), {reason}; {ADVICE}"
                )
            found.add(key)
    return tuple(sorted(found))


def _obstacle(key: str, one: Any, other: Any, stages: Sequence[str]) -> str | None:
    """Why a setting with these two values cannot be an argument of one program; None: it can."""
    section, *_, name = key.split(".")
    if section not in stages or not (isinstance(one, float) and isinstance(other, float)):
        return "which is no seed and no number such as a learning rate or a weight"
    if name.rpartition("_")[2] in durations.UNITS:
        return "which decides how many steps there are"
    if not (math.isfinite(one) and math.isfinite(other)):
        return "and what is infinite is another program"
    if 0 in (one, other):
        return "and 0 leaves out what another number puts in"
    return None


def check(runs: Mapping[str, Prepared], varied: Sequence[str]) -> None:
    """Raises UserError where runs train under pmap, or a stage cannot be built without knowing a number in which they
    differ."""
    first = next(iter(runs.values()))
    if first.config.parallel != "jit":
        raise UserError(f"--sweep_together: maps over runs, not devices; type --config.parallel=jit, or {ADVICE}")
    if any(first.parts[job.name].context.total_steps and programs.is_streamed(job) for job in first.jobs):
        raise UserError(
            f"--sweep_together: holds the images on the device; type --config.data.resident=true, or {ADVICE}"
        )
    for key in varied:
        value = configs.flat(first.config)[key]
        try:
            jax.eval_shape(lambda value, key=key: _built(first, {key: value}) and 0, jnp.float32(value))
        except jax.errors.ConcretizationTypeError:
            raise UserError(f"--sweep_together: {key} decides how the program is built; {ADVICE}") from None


def _built(run: Prepared, values: Values) -> dict[str, Stage]:
    """The stages of a run with `values` in place of the settings of those names."""
    config = run.config.copy_and_resolve_references()
    with config.unlocked(), config.ignore_type():
        for key, value in values.items():
            *path, name = key.split(".")
            functools.reduce(operator.getitem, path, config)[name] = value
    return {part.name: part.stage for part in method.build(config, run.dataset)}


def train(runs: Mapping[str, Prepared], varied: Sequence[str]) -> dict[str, UserError]:
    """Trains prepared runs stage by stage; a stage that several share is trained once.

    Args:
        runs: by name; each looks for finished stages in all of them.
        varied: the keys of the numbers in which they differ.

    Returns:
        Of the runs that failed, why.

    Raises:
        Stopped: SIGINT or SIGTERM arrived; the states are saved.
    """
    for run in runs.values():
        run.begin()
    upstreams: dict[str, dict[str, Frozen]] = {name: {} for name in runs}
    failed: dict[str, UserError] = {}
    for stage in next(iter(runs.values())).parts:
        alike: dict[str, list[str]] = {}  # names of the runs that lack the stage, by its identity
        for name, run in runs.items():
            if name in failed:
                continue
            frozen = run.found(stage, upstreams[name])
            if frozen is None:
                alike.setdefault(run.identity(stage, upstreams[name]), []).append(name)
            else:
                upstreams[name][stage] = frozen
        if not alike:
            continue
        firsts = [names[0] for names in alike.values()]
        outcomes = _train_stage(stage, {name: runs[name] for name in firsts}, upstreams, varied)
        for names, outcome in zip(alike.values(), outcomes, strict=True):
            if isinstance(outcome, UserError):
                failed |= dict.fromkeys(names, outcome)
                continue
            try:
                upstreams[names[0]][stage] = runs[names[0]].finish(stage, *outcome, upstreams[names[0]])
            except UserError as error:
                failed |= dict.fromkeys(names, error)
                continue
            for name in names[1:]:
                upstreams[name][stage] = runs[name].found(stage, upstreams[name])
    return failed


def _train_stage(
    stage: str, runs: Mapping[str, Prepared], upstreams: Mapping[str, Upstream], varied: Sequence[str]
) -> list[tuple[PyTree, int] | UserError]:
    """What `loop.train_all` returns for one stage of the runs."""
    jobs = [run.job(stage) for run in runs.values()]
    before = [upstreams[name] for name in runs]
    steps = next(iter(runs.values())).parts[stage].context.total_steps
    if len(runs) == 1 or not steps:
        return [_train_one(run, stage, upstreams[name]) for name, run in runs.items()]
    log.info("%s of %d runs in one program", stage, len(jobs))
    flats = [configs.flat(run.config) for run in runs.values()]
    values = {key: jnp.asarray([flat[key] for flat in flats], jnp.float32) for key in varied}
    first = next(iter(runs.values()))
    together = program(jobs, before, lambda values: _built(first, values)[stage], values)
    desks = [loop.desk(runs[name].workdir, runs[name].watch(stage), upstreams[name]) for name in runs]
    try:
        return loop.train_all(together, desks)
    except jax.errors.ConcretizationTypeError:
        raise UserError(f"--sweep_together: {stage} must know one of {', '.join(varied)}; {ADVICE}") from None


def _train_one(run: Prepared, stage: str, upstream: Upstream) -> tuple[PyTree, int] | UserError:
    try:
        return loop.train(run.job(stage), upstream, run.workdir, run.watch(stage))
    except UserError as error:
        return error


def program(
    jobs: Sequence[Job], upstreams: Sequence[Upstream], build: Callable[[Values], Stage], values: Values
) -> Program:
    """The program of several jobs that differ in seed, data, upstream and `values` alone.

    Args:
        jobs: one a member.
        upstreams: the frozen stages before each.
        build: values of one member -> its stage.
        values: `[members]` by dotted key.
    """
    jobs = [job.relabelled(upstream) for job, upstream in zip(jobs, upstreams, strict=True)]
    first = jobs[0]
    everywhere = parallel.replicated(first.mesh)
    upstream, upstream_axis = _shared(upstreams)
    upstream = jax.device_put(upstream, everywhere)
    roots = jnp.stack([job.key for job in jobs])

    def start(root: jax.Array, upstream: Upstream, values: Values) -> PyTree:
        return programs.initial(dataclasses.replace(first, stage=build(values)), root, upstream)

    def advance_one(values: Values, *arguments: Any) -> tuple[PyTree, Mapping[str, jax.Array]]:
        return programs.dispatch(dataclasses.replace(first, stage=build(values)), *arguments)

    compiled: list[Any] = []  # with the table, from the first step on

    def advance(state: PyTree, step: int) -> tuple[PyTree, Mapping[str, jax.Array]]:
        if not compiled:
            table, table_axis = _shared(_tables(jobs, upstreams))
            axes = 0, 0, 0, 0, None, table_axis, upstream_axis
            mapped = jax.vmap(advance_one, in_axes=axes)
            out = everywhere, everywhere
            compiled.extend([jax.jit(mapped, donate_argnums=1, out_shardings=out), jax.device_put(table, everywhere)])
        function, table = compiled
        indices = np.stack([programs.indices(job, step) for job in jobs])
        indices = jax.device_put(indices, parallel.sharded(first.mesh, 2))
        return function(values, state, indices, roots, np.int32(step), table, upstream)

    begin = jax.jit(jax.vmap(start, in_axes=(0, upstream_axis, 0)))
    return Program(
        jobs=jobs,
        initial=lambda: jax.device_put(begin(roots, upstream, values), everywhere),
        advance=advance,
        like=programs.placed(first.abstract_state(upstreams[0]), everywhere),
        join=lambda states: jax.device_put(jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), everywhere),
        split=lambda tree: [_member(tree, number) for number in range(len(jobs))],
    )


def _member(tree: PyTree, number: int) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[number], tree)


def _tables(jobs: Sequence[Job], upstreams: Sequence[Upstream]) -> list[dict[str, Any]]:
    """What each job's batches are gathered from; computed once for jobs that see the same through the same networks."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    keys = [
        (reuse.content(job.view), *digests(upstream).values(), json.dumps(job.before, sort_keys=True))
        for job, upstream in zip(jobs, upstreams, strict=True)
    ]
    for key, job, upstream in zip(keys, jobs, upstreams, strict=True):
        if key not in found:
            found[key] = programs.table(job, upstream)
    return [found[key] for key in keys]


def _shared(trees: Sequence[PyTree]) -> tuple[PyTree, int | None]:
    """The members' trees as one, and its axis of members: None where all members have the same."""
    leaves = [jax.tree.leaves(tree) for tree in trees]
    if all(own is leaves[0] or all(map(np.array_equal, own, leaves[0])) for own in leaves):
        return trees[0], None
    return jax.tree.map(lambda *parts: np.stack(parts), *trees), 0
