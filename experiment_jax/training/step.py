"""A training step, in order: the batch, its mirror images, the stage's update and its metrics.

Which rows a batch holds and all random numbers are pure functions of the seed and the step, so k steps, a stop and k
more end in the same bits as 2k. Everything but the choice of rows is one compiled program. The loop around it is
`training.loop`; a stage's `update` is in the stage's own file, and ends in `networks.train_state.Descent.step`.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiment_jax.data import passes
from experiment_jax.devices.mesh import Devices, Program
from experiment_jax.method.build import Task
from experiment_jax.method.stage import Batch, Metrics, PyTree, Upstream
from experiment_jax.training import batches, nonfinite

# What all steps share: the root key, the number of the first step, the table of rows, the frozen earlier stages.
Common = tuple[jax.Array, jax.Array, Any, Upstream]


def train_step(task: Task, state: PyTree, rows: PyTree, step: jax.Array, common: Common) -> tuple[PyTree, Metrics]:
    """One step.

    Args:
        task: what is trained.
        state: before the step; with a count where batches may be skipped, see `nonfinite.skipping`.
        rows: indices int32 `[batch]` into the table or, where there is none, the batch's images uint8 and labels.
        step: its number, from 0.
        common: see `Common`.

    Returns:
        The state after the step, and the stage's metrics.
    """
    root, _, table, upstream = common
    # The step's own keys: one for the mirroring, one for all noise of the stage.
    flip_key, update_key = (jax.random.fold_in(jax.random.fold_in(root, stream), step) for stream in (1, 2))
    # The batch.
    mirrored = None
    if task.flips:
        count = jax.tree.leaves(rows)[0].shape[:1]
        mirrored = task.context.axis.draw(lambda key, shape: jax.random.bernoulli(key, 0.5, shape), flip_key, count)
    batch = _images(table, rows, mirrored) if task.stage.inputs is None else _inputs(table, rows, mirrored)
    for name in task.view.known:
        batch[name] = rows[name] if table is None else table[name][rows]
    # Loss, gradients, update and metrics are the stage's.
    update = nonfinite.skipping(task.stage.update, task.context.axis) if task.skips else task.stage.update
    return update(state, batch, update_key, upstream)


def _images(table: Any, rows: PyTree, mirrored: jax.Array | None) -> Batch:
    """Images in [-1, 1], of which those that are `mirrored` are turned left to right."""
    images = passes.to_float(rows["images"] if table is None else table["rows"]["images"][0, rows])
    if mirrored is not None:
        images = jnp.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
    return {"images": images}


def _inputs(table: Any, rows: PyTree, mirrored: jax.Array | None) -> Batch:
    """What frozen networks made of the images, or of the mirrored images."""
    variant = 0 if mirrored is None else mirrored.astype(jnp.int32)
    return jax.tree.map(lambda leaf: leaf[variant, rows], table["rows"])


def train_steps(task: Task, state: PyTree, rows: PyTree, common: Common) -> tuple[PyTree, Metrics]:
    """As many steps as `rows` has, leaves `[steps, batch, …]`, and their metrics averaged; what is compiled."""
    first, count = common[1], len(jax.tree.leaves(rows)[0])
    if count == 1:
        return train_step(task, state, jax.tree.map(lambda leaf: leaf[0], rows), first, common)
    numbers = first + jnp.arange(count, dtype=jnp.int32)
    state, metrics = jax.lax.scan(lambda state, at: train_step(task, state, *at, common), state, (rows, numbers))
    mean = jnp.nanmean if task.skips else jnp.mean  # metrics of skipped batches are NaN
    return state, jax.tree.map(lambda leaf: mean(leaf, axis=0), metrics)


class Steps:
    """The compiled steps of a task on its devices. Called with a state and the number of the first step of a dispatch.

    Attributes:
        like: the state of the task, abstract.
    """

    def __init__(self, task: Task, upstream: Upstream, devices: Devices) -> None:
        self._own, self._upstream, self._devices = task, upstream, devices
        self.like = task.abstract_state(upstream)

    def start(self) -> PyTree:
        """The state before the first step."""
        return self.resume(jax.jit(lambda: self._own.initial(self._own.key, self._upstream))())

    def resume(self, state: PyTree) -> PyTree:
        """A restored state, as steps take it."""
        return self._devices.spread(state)

    def local(self, tree: PyTree) -> PyTree:
        """A state or metrics as this process holds them."""
        return self._devices.local(tree)

    def __call__(self, state: PyTree, step: int) -> tuple[PyTree, Metrics]:
        """(state, metrics) after one dispatch; the memory of the state given is reused."""
        common = self._task.key, np.int32(step), self._table, self._frozen
        return self._compiled(state, self._rows(step), common)

    def lower(self) -> Program:
        """One step, however many a dispatch has, lowered and not compiled; nothing is run."""
        task = self._task
        like = nonfinite.abstract(self.like) if task.skips else self.like
        rows = self._devices.share_rows(batches.blank(task.view, task.indices(0)[:1], task.reads_ahead))
        common = task.key, np.int32(0), self._table, self._frozen
        return self._devices.lower(functools.partial(train_steps, task), like, rows, common)

    # What follows is made at the first step: a stage that has nothing left to do does without.

    @functools.cached_property
    def _task(self) -> Task:
        return self._own.relabelled(self._upstream)

    @functools.cached_property
    def _rows(self) -> Callable[[int], PyTree]:
        task, devices = self._task, self._devices
        if task.reads_ahead:
            return batches.read_ahead(task.view, task.indices, task.schedule, devices)
        return lambda step: devices.share_rows(task.indices(step))

    @functools.cached_property
    def _table(self) -> Any:
        task = self._task
        if task.reads_ahead:
            return None
        return self._devices.replicate(batches.table(task.view, task.stage.inputs, task.flips, self._upstream))

    @functools.cached_property
    def _frozen(self) -> Upstream:
        return self._devices.replicate(dict(self._upstream))

    @functools.cached_property
    def _compiled(self) -> Callable[..., tuple[PyTree, Metrics]]:
        steps = functools.partial(train_steps, self._task)
        if self._own.skips:
            return nonfinite.compiled(steps, self._devices.compile, self._devices.spread)
        return self._devices.compile(steps)
