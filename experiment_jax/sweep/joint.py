"""Steps, logger and checkpoints of several runs that train in one program, as `training.loop` takes one run's."""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiment_jax.devices.mesh import Devices
from experiment_jax.errors import Unwritable, UserError
from experiment_jax.method.build import Task
from experiment_jax.method.stage import Metrics, PyTree, Upstream
from experiment_jax.runs import reuse
from experiment_jax.runs.checkpoints import Checkpoints
from experiment_jax.runs.verified import digest
from experiment_jax.training import batches, nonfinite
from experiment_jax.training.logger import Logger
from experiment_jax.training.step import train_steps


class JointSteps:
    """The compiled steps of several tasks; as `training.step.Steps`, with a list, one a member, for what is local."""

    def __init__(
        self,
        tasks: Sequence[Task],
        upstreams: Sequence[Upstream],
        devices: Devices,
        rebuild: Callable[[Mapping[str, jax.Array]], Task],
        numbers: Mapping[str, Sequence[float]],
    ) -> None:
        """
        Args:
            tasks: one a member, which differ in seed, data and `numbers` alone.
            upstreams: the frozen stages before each.
            devices: that train.
            rebuild: one member's numbers -> its task.
            numbers: `[members]`, by dotted key.
        """
        self._tasks = [task.relabelled(upstream) for task, upstream in zip(tasks, upstreams, strict=True)]
        self._upstreams, self._devices, self._rebuild = upstreams, devices, rebuild
        self._numbers = {key: jnp.asarray(values, jnp.float32) for key, values in numbers.items()}
        upstream, self._upstream_axis = _shared(upstreams)
        self._upstream = devices.replicate(dict(upstream))  # once, not at every step
        self._roots = jnp.stack([task.key for task in tasks])
        self.like = tasks[0].abstract_state(upstreams[0])

    def start(self) -> PyTree:
        def initial(numbers: Mapping[str, jax.Array], root: jax.Array, upstream: Upstream) -> PyTree:
            return self._task(numbers).initial(root, upstream)

        begin = jax.jit(jax.vmap(initial, in_axes=(0, 0, self._upstream_axis)))
        return self._devices.replicate(begin(self._numbers, self._roots, self._upstream))

    def resume(self, states: Sequence[PyTree]) -> PyTree:
        return self._devices.replicate(jax.tree.map(lambda *leaves: jnp.stack(leaves), *states))

    def local(self, tree: PyTree) -> list[PyTree]:
        tree = jax.device_get(tree)
        return [jax.tree.map(lambda leaf, own=own: leaf[own], tree) for own in range(len(self._tasks))]

    def __call__(self, state: PyTree, step: int) -> tuple[PyTree, Metrics]:
        table, _ = self._table
        rows = np.stack([task.indices(step) for task in self._tasks])
        rows = jax.device_put(rows, self._devices.shared(2))
        return self._compiled(state, rows, (self._numbers, self._roots, np.int32(step), table, self._upstream))

    def _task(self, numbers: Mapping[str, jax.Array]) -> Task:
        return dataclasses.replace(self._tasks[0], stage=self._rebuild(numbers).stage)

    @functools.cached_property
    def _table(self) -> tuple[PyTree, int | None]:
        """What batches are gathered from, and its axis of members; once for members that see the same through the same
        networks."""
        found: dict[tuple[str, ...], dict[str, Any]] = {}
        keys = []
        for task, upstream in zip(self._tasks, self._upstreams, strict=True):
            key = (
                reuse.content(task.view),
                *(digest(frozen) for frozen in upstream.values()),
                json.dumps(reuse.earlier_functions(task), sort_keys=True),
            )
            keys.append(key)
            if key not in found:
                found[key] = batches.table(task.view, task.stage.inputs, task.flips, upstream)
        table, axis = _shared([found[key] for key in keys])
        return self._devices.replicate(table), axis

    @functools.cached_property
    def _compiled(self) -> Callable[..., tuple[PyTree, Metrics]]:
        def steps(state: PyTree, rows: PyTree, numbers: Any, *common: Any) -> tuple[PyTree, Metrics]:
            return train_steps(self._task(numbers), state, rows, common)

        axes = 0, 0, 0, 0, None, self._table[1], self._upstream_axis
        mapped = jax.vmap(steps, in_axes=axes)

        def of_all(state: PyTree, rows: PyTree, common: Any) -> tuple[PyTree, Metrics]:
            return mapped(state, rows, *common)

        if self._tasks[0].skips:
            return nonfinite.compiled(of_all, self._devices.compile, self._devices.spread, (len(self._tasks),))
        return self._devices.compile(of_all)


class AllFailed(Exception):
    """No member is left to train."""


class JointLogger:
    """The loggers of several runs; a run whose metrics are not finite drops out, and the others go on."""

    def __init__(self, loggers: Sequence[Logger], failed: dict[int, UserError]) -> None:
        self.name, self._loggers, self._failed = loggers[0].name, loggers, failed

    @property
    def validation(self) -> list[Mapping[str, float]]:
        return [each.validation for each in self._loggers]

    def advance(self, step: int) -> None:
        self._loggers[0].advance(step)

    def row(self, step: int, metrics: Any, states: Sequence[PyTree] | None = None) -> None:
        def own(member: int, logger: Logger) -> None:
            logger.row(step, metrics[member] if metrics else {}, states[member] if states else None)

        self._each(own)

    def check(self, step: int, states: Sequence[PyTree]) -> None:
        self._each(lambda member, logger: logger.check(step, states[member]))

    def _each(self, call: Callable[[int, Logger], None]) -> None:
        for member, logger in enumerate(self._loggers):
            if member in self._failed:
                continue
            try:
                call(member, logger)
            except Unwritable:
                raise
            except UserError as error:
                self._failed[member] = error
        if len(self._failed) == len(self._loggers):
            raise AllFailed

    def close(self) -> None:
        for each in self._loggers:
            each.close()


class JointCheckpoints:
    """The checkpoints of several runs."""

    def __init__(self, kept: Sequence[Checkpoints], failed: Mapping[int, UserError]) -> None:
        self._kept, self._failed = kept, failed
        self._found: list[PyTree] = []

    @property
    def chooses(self) -> bool:
        return self._kept[0].chooses

    def latest(self) -> int | None:
        """The latest step that every run has a checkpoint of; later ones, of runs that were saved first, go."""
        done = max(set.intersection(*(set(each.steps()) for each in self._kept)), default=None)
        if done is not None and not self._found:
            self._found = [each.restore(done) for each in self._kept]  # whole, or refused before any goes
        for each in self._kept:
            each.drop_after(-1 if done is None else done)
        return done

    def restore(self, step: int) -> list[PyTree]:
        """The states of what was the latest step when training began; given once."""
        found, self._found = self._found, []
        return found

    def save(self, step: int, states: Sequence[PyTree], metrics: Any) -> None:
        for member, each in enumerate(self._kept):
            if member not in self._failed:
                each.save(step, states[member], metrics[member] if metrics else {})

    def wait(self) -> None:
        for each in self._kept:
            each.wait()

    def chosen(self, step: int, states: Sequence[PyTree]) -> list[tuple[PyTree, int] | UserError]:
        return [
            self._failed[member] if member in self._failed else each.chosen(step, states[member])
            for member, each in enumerate(self._kept)
        ]


def _shared(trees: Sequence[PyTree]) -> tuple[PyTree, int | None]:
    """The members' trees as one, and its axis of members: None where all members have the same."""
    leaves = [jax.tree.leaves(tree) for tree in trees]
    if all(own is leaves[0] or all(map(np.array_equal, own, leaves[0])) for own in leaves):
        return trees[0], None
    return jax.tree.map(lambda *parts: np.stack(parts), *trees), 0
