"""The compiled side of a training: the state before the first step, and the program of one dispatch.

The order of a step: the indices of the batch (host, a pure function of seed and step), then the gather, the flips and
the stage's update (device, one compiled program). Of images that are not resident the host gathers the batch, while the
device computes the one before.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiment_jax.data import passes
from experiment_jax.data.lazy_images import Feed, Images
from experiment_jax.devices import placement as parallel
from experiment_jax.method.stage import Batch, PyTree, Upstream
from experiment_jax.method.task import Job, plan


@dataclasses.dataclass(frozen=True)
class Program:
    """What is compiled for one job, or for several that train together (`experiment_jax.sweep.together`).

    Attributes:
        jobs: one a member.
        initial: () -> the state before the first step.
        advance: (state, step) -> (state, metrics) after one dispatch; the memory of the state given is reused.
        like: the state of one member, abstract, as it lies on the devices.
        join: the states of the members, in order -> the state that `advance` takes.
        split: such a state, or metrics -> those of each member.
    """

    jobs: Sequence[Job]
    initial: Callable[[], PyTree]
    advance: Callable[[PyTree, int], tuple[PyTree, Mapping[str, jax.Array]]]
    like: PyTree
    join: Callable[[Sequence[PyTree]], PyTree]
    split: Callable[[PyTree], list[PyTree]]


def single(job: Job, upstream: Upstream) -> Program:
    """The program of one job; what its batches come from is made at the first step."""
    everywhere, shared = parallel.replicated(job.mesh), parallel.sharded(job.mesh, 1)
    job = job.relabelled(upstream)
    frozen = parallel.place(dict(upstream), everywhere)
    compiled = jax.jit(
        lambda *arguments: dispatch(job, *arguments), donate_argnums=0, out_shardings=(everywhere, everywhere)
    )
    batches: list[Batches] = []

    def advance(state: PyTree, step: int) -> tuple[PyTree, Mapping[str, jax.Array]]:
        if not batches:
            batches.append(Batches(job, upstream, lambda picked: parallel.assemble(picked, shared)))
        picked, table = batches[0](step)
        return compiled(state, picked, job.key, np.int32(step), table, frozen)

    return Program(
        jobs=[job],
        initial=lambda: parallel.place(jax.jit(lambda: initial(job, job.key, upstream))(), everywhere),
        advance=advance,
        like=placed(job.abstract_state(upstream), everywhere),
        join=lambda states: states[0],
        split=lambda tree: [parallel.local(tree)],
    )


def placed(abstract: PyTree, sharding: jax.sharding.Sharding) -> PyTree:
    """An abstract state that says where it lies."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), abstract)


def initial(job: Job, root: jax.Array, upstream: Upstream) -> PyTree:
    """The state before the first step, of a job whose random streams come from `root`."""
    batch = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), job.abstract_batch(upstream))
    return job.stage.init(jax.random.fold_in(root, 0), batch, upstream)


def indices(job: Job, step: int) -> np.ndarray:
    """Indices int32 `[steps a dispatch, batch]` of the dispatch that begins at `step`."""
    return np.stack([job.order.indices(number) for number in range(step, step + job.section.steps_per_dispatch)])


class Batches:
    """What the dispatches of a job take from the data, what `dispatch` calls `picked` and `table`."""

    def __init__(self, job: Job, upstream: Upstream, put: Callable[[PyTree], PyTree]) -> None:
        """
        Args:
            job: the training.
            upstream: the frozen stages before it.
            put: arrays `[steps a dispatch, batch, …]` on the host, of this process's rows -> on the devices, each with
                its part of a batch.
        """
        if is_streamed(job):
            total = plan(job.section, len(job.view)).total
            self._pick = Feed(lambda step: rows(job, step), put, total, job.section.steps_per_dispatch)
            self._table = None
        else:
            self._pick = lambda step: put(indices(job, step)[:, parallel.own_rows(job.section.batch_size)])
            self._table = parallel.place(table(job, upstream), parallel.replicated(job.mesh))

    def __call__(self, step: int) -> tuple[PyTree, Any]:
        """What the dispatch that begins at `step` picks, and the table that it picks from."""
        return self._pick(step), self._table


def is_streamed(job: Job) -> bool:
    """Whether batches are read from disk: the images are, and the stage sees them and not what is computed of them."""
    return isinstance(job.view.images, Images) and job.stage.inputs is None


def rows(job: Job, step: int) -> dict[str, np.ndarray]:
    """The images uint8 and labels of the dispatch that begins at `step`, `[steps a dispatch, batch, …]`, read now.

    Of several processes each reads its rows of the batch.
    """
    index = indices(job, step)[:, parallel.own_rows(job.section.batch_size)]
    labels = {} if job.view.labels is None else {"labels": job.view.labels[index]}
    return {"images": job.view.images[index], **labels}


def table(job: Job, upstream: Upstream) -> dict[str, Any]:
    """All that batches are gathered from: leaves `[variants, N, …]`, the second variant being the mirrored images.

    A stage that sees images gets them as uint8, mirrored on the device after the gather; one variant.
    """
    images, labels = job.view.images, {} if job.view.labels is None else {"labels": job.view.labels}
    if job.stage.inputs is None:
        return {"rows": {"images": images[None]}, **labels}
    upstream = jax.device_put(dict(upstream))
    inputs = jax.jit(lambda batch: job.stage.inputs(passes.to_float(batch), upstream))
    variants = [inputs, lambda batch: inputs(batch[:, :, ::-1])] if job.flips else [inputs]
    rows = [passes.over(variant, images, batch_size=500) for variant in variants]
    return {"rows": jax.tree.map(lambda *leaves: np.stack(leaves), *rows), **labels}


def dispatch(
    job: Job, state: PyTree, picked: PyTree, root: jax.Array, step: jax.Array, table: Any, upstream: Upstream
) -> tuple[PyTree, Mapping[str, jax.Array]]:
    """As many steps of a job as `picked` has, and their metrics averaged; to be compiled.

    Args:
        job: the training.
        state: before the first of the steps.
        picked: indices int32 `[steps, batch]` into the table or, where that is None, the `rows` themselves.
        root: of the job's random streams.
        step: the number of the first.
        table: see `table`.
        upstream: the frozen stages before it.
    """
    flip_key, update_key = jax.random.fold_in(root, 1), jax.random.fold_in(root, 2)

    def one(state: PyTree, step: jax.Array, picked: PyTree) -> tuple[PyTree, Mapping[str, jax.Array]]:
        batch = _batch(job, table, picked, jax.random.fold_in(flip_key, step))
        return job.stage.update(state, batch, jax.random.fold_in(update_key, step), upstream)

    count = len(jax.tree.leaves(picked)[0])
    if count == 1:
        return one(state, step, jax.tree.map(lambda leaf: leaf[0], picked))
    steps = step + jnp.arange(count, dtype=jnp.int32)
    state, metrics = jax.lax.scan(lambda state, at: one(state, *at), state, (steps, picked))
    return state, jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), metrics)


def _batch(job: Job, table: dict[str, Any] | None, picked: PyTree, key: jax.Array) -> Batch:
    """The batch of one step, with flips where the job has them; without, nothing is drawn."""
    mirrored = None
    if job.flips:
        toss = lambda key, shape: jax.random.bernoulli(key, 0.5, shape)  # noqa: E731
        mirrored = parallel.draw(toss, key, jax.tree.leaves(picked)[0].shape[:1], job.axis_name)
    if job.stage.inputs is None:
        pixels = picked["images"] if table is None else table["rows"]["images"][0, picked]
        images = passes.to_float(pixels)
        if mirrored is not None:
            images = jnp.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
        batch = {"images": images}
    else:
        variant = 0 if mirrored is None else mirrored.astype(jnp.int32)
        batch = jax.tree.map(lambda leaf: leaf[variant, picked], table["rows"])
    if job.view.labels is None:
        return batch
    return {**batch, "labels": picked["labels"] if table is None else table["labels"][picked]}
