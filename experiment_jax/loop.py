"""The one loop, which trains any stage.

The order of a step: the indices of the batch (host, a pure function of seed and step), then the gather, the flips and
the stage's update (device, one compiled program). The host waits for the device only where a row is logged.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from experiment_jax import durations, order, parallel, passes
from experiment_jax.checkpoints import Checkpoints
from experiment_jax.data import View
from experiment_jax.errors import UserError
from experiment_jax.record import Recorder, Stopped, asked_to_stop, profiler
from experiment_jax.stage import Batch, Stage, Upstream, stream

PyTree = Any
Watch = Callable[[PyTree, Upstream], tuple[dict[str, float], Mapping[str, np.ndarray]]]


@dataclasses.dataclass(frozen=True)
class Plan:
    """A stage's durations in whole steps."""

    total: int
    log: int
    checkpoint: int
    dispatch: int


def plan(section: ConfigDict, num_examples: int) -> Plan:
    """The plan of a section; cadences are rounded up to whole dispatches.

    Raises:
        UserError: an empty batch, a missing or doubled duration, a length that is not a multiple of
            `steps_per_dispatch`, or a `profile` that is not two steps.
    """
    if section.batch_size < 1:
        raise UserError(
            f"batch_size={section.batch_size}: a batch holds at least one example; type batch_size=1 or more"
        )
    sizes = dict(batch_size=section.batch_size, num_examples=num_examples)
    total = durations.to_steps(section, **sizes)
    each = section.steps_per_dispatch
    if each < 1 or total % each:
        raise UserError(f"steps_per_dispatch={each}: must divide the {total} steps; type steps_per_dispatch=1")
    log, checkpoint = (
        max(math.ceil(durations.to_steps(section, name, total=total, **sizes) / each), 1) * each
        for name in ("log", "checkpoint")
    )
    if len(section.profile) != 2:
        raise UserError(f"profile={section.profile}: give the first step and the one after the last, as in (100,110)")
    return Plan(total, log, checkpoint, each)


@dataclasses.dataclass(frozen=True)
class Job:
    """One stage with all that its training needs.

    Attributes:
        name: the stage's name.
        stage: its functions.
        view: what it trains on.
        section: its section of the config.
        seed: of the run.
        flips: mirror training images left to right, half of the time.
        mesh: the devices.
    """

    name: str
    stage: Stage
    view: View
    section: ConfigDict
    seed: int
    flips: bool
    mesh: Mesh

    @property
    def key(self) -> jax.Array:
        """The root of the stage's random streams: 0 for `init`, 1 for flips, 2 for `update`."""
        return stream(self.seed, self.name)

    def abstract_batch(self, upstream: Upstream) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and types of the batches that the stage gets; nothing is computed."""
        size = self.section.batch_size
        batch = {"images": jax.ShapeDtypeStruct((size, *self.view.images.shape[1:]), jnp.float32)}
        if self.stage.inputs is not None:
            batch = dict(jax.eval_shape(self.stage.inputs, batch["images"], upstream))
        if self.view.labels is not None:
            batch["labels"] = jax.ShapeDtypeStruct((size,), jnp.int32)
        return batch

    def abstract_state(self, upstream: Upstream) -> PyTree:
        """Shapes and types of the stage's state; nothing is computed."""
        return jax.eval_shape(self.stage.init, jax.random.key(0), self.abstract_batch(upstream), upstream)


def train(job: Job, upstream: Upstream, workdir: Path, watch: Watch) -> tuple[PyTree, int]:
    """Trains one stage to the end of its plan, from its latest checkpoint where there is one.

    A stage of no steps is only made: its view is not put on the device, nothing is watched, no row and no checkpoint
    is written.

    Args:
        job: the stage.
        upstream: the frozen stages before it.
        workdir: the run's directory.
        watch: (state, upstream) -> validation metrics and pictures, called at the start and at every checkpoint.

    Returns:
        The state to freeze, and its step: the best checkpoint's where `section.best` names a metric, else the last.

    Raises:
        UserError: the loss is not finite.
        Stopped: SIGINT or SIGTERM arrived; the state is saved.
    """
    schedule = plan(job.section, len(job.view))
    everywhere = parallel.replicated(job.mesh)
    upstream = jax.device_put(dict(upstream), everywhere)
    if not schedule.total:
        return _initial(job, upstream, everywhere), 0
    like = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere), job.abstract_state(upstream)
    )
    with contextlib.closing(Checkpoints(workdir, job.name, job.section.keep, job.section.best)) as checkpoints:
        done = max(checkpoints.steps(), default=None)
        state = _initial(job, upstream, everywhere) if done is None else checkpoints.restore(done, like)
        table = jax.device_put(_table(job, upstream), everywhere)
        step = done or 0
        dispatch = _dispatch(job, everywhere)
        recorder = Recorder(job.name, workdir, schedule.total, done, checkpoints, lambda state: watch(state, upstream))
        with contextlib.closing(recorder), asked_to_stop() as stop, profiler(job.name, workdir, job.section) as profile:
            if done is None:
                recorder.row(0, {}, state)
            while step < schedule.total and not stop.is_set():
                profile(step)
                indices = jax.device_put(_indices(job, step), parallel.sharded(job.mesh, 1))
                state, metrics = dispatch(state, indices, np.int32(step), table, upstream)
                step += schedule.dispatch
                last = step == schedule.total
                recorder.advance(step)
                if last or step % schedule.checkpoint == 0:
                    recorder.row(step, metrics, state)
                    recorder.save(step, state)
                elif step % schedule.log == 0:
                    recorder.row(step, metrics)
            if stop.is_set():  # after the last step too: whoever asked to stop does not want the next stage
                if step not in checkpoints.steps():
                    recorder.save(step, state, measured=False)
                raise Stopped(
                    f"{job.name} stopped at step {step} of {schedule.total}; the same command goes on from there"
                )
        chosen = checkpoints.chosen()
        return (state, step) if chosen in (None, step) else (checkpoints.restore(chosen, like), chosen)


def _initial(job: Job, upstream: Upstream, everywhere: Any) -> PyTree:
    batch = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), job.abstract_batch(upstream))
    return jax.device_put(jax.jit(job.stage.init)(jax.random.fold_in(job.key, 0), batch, upstream), everywhere)


def _indices(job: Job, step: int) -> np.ndarray:
    """Indices int32 `[steps a dispatch, batch]` of the dispatch that begins at `step`."""
    return np.stack(
        [
            order.indices(job.view.labels, len(job.view), job.section.batch_size, job.stage.strata, job.seed, number)
            for number in range(step, step + job.section.steps_per_dispatch)
        ]
    )


def _table(job: Job, upstream: Upstream) -> dict[str, Any]:
    """All that batches are gathered from: leaves `[variants, N, …]`, the second variant being the mirrored images.

    A stage that sees images gets them as uint8, mirrored on the device after the gather; one variant.
    """
    images, labels = job.view.images, {} if job.view.labels is None else {"labels": job.view.labels}
    if job.stage.inputs is None:
        return {"rows": {"images": images[None]}, **labels}
    inputs = jax.jit(lambda batch: job.stage.inputs(passes.to_float(batch), upstream))
    variants = [images, images[:, :, ::-1]] if job.flips else [images]
    rows = [passes.over(inputs, variant, batch_size=500) for variant in variants]
    return {"rows": jax.tree.map(lambda *leaves: np.stack(leaves), *rows), **labels}


def _gather(job: Job, table: dict[str, Any], index: jax.Array, key: jax.Array) -> Batch:
    """The batch at `index`, with flips."""
    mirrored = jax.random.bernoulli(key, 0.5 if job.flips else 0.0, index.shape)
    if job.stage.inputs is None:
        images = passes.to_float(table["rows"]["images"][0, index])
        batch = {"images": jnp.where(mirrored[:, None, None, None], images[:, :, ::-1], images)}
    else:
        batch = jax.tree.map(lambda leaf: leaf[mirrored.astype(jnp.int32), index], table["rows"])
    return {**batch, "labels": table["labels"][index]} if "labels" in table else batch


def _dispatch(job: Job, everywhere: Any) -> Callable[..., tuple[PyTree, dict[str, jax.Array]]]:
    """The compiled program: `steps_per_dispatch` steps, their metrics averaged; the state's memory is reused."""
    flip_key, update_key = jax.random.fold_in(job.key, 1), jax.random.fold_in(job.key, 2)

    def one(state: PyTree, step: jax.Array, index: jax.Array, table: Any, upstream: Upstream) -> Any:
        batch = _gather(job, table, index, jax.random.fold_in(flip_key, step))
        return job.stage.update(state, batch, jax.random.fold_in(update_key, step), upstream)

    def many(state: PyTree, indices: jax.Array, step: jax.Array, table: Any, upstream: Upstream) -> Any:
        if len(indices) == 1:
            return one(state, step, indices[0], table, upstream)
        steps = step + jnp.arange(len(indices), dtype=jnp.int32)
        state, metrics = jax.lax.scan(lambda state, at: one(state, *at, table, upstream), state, (steps, indices))
        return state, jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), metrics)

    return jax.jit(many, donate_argnums=0, out_shardings=(everywhere, everywhere))
