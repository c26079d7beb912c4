"""The compiled side of a training: the state before the first step, and the program of one dispatch.

The order of a step: the indices of the batch (host, a pure function of seed and step), then the gather, the flips and
the stage's update (device, one compiled program).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiment_jax import order, parallel, passes
from experiment_jax.job import Job
from experiment_jax.stage import Batch, PyTree, Upstream


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
    """The program of one job; its table is computed and put on the devices at the first step."""
    everywhere = parallel.replicated(job.mesh)
    upstream = jax.device_put(dict(upstream), everywhere)
    job = job.relabelled(upstream)
    compiled = jax.jit(
        lambda *arguments: dispatch(job, *arguments), donate_argnums=0, out_shardings=(everywhere, everywhere)
    )
    data: list[Any] = []

    def advance(state: PyTree, step: int) -> tuple[PyTree, Mapping[str, jax.Array]]:
        if not data:
            data.append(jax.device_put(table(job, upstream), everywhere))
        index = jax.device_put(indices(job, step), parallel.sharded(job.mesh, 1))
        return compiled(state, job.key, index, np.int32(step), data[0], upstream)

    return Program(
        jobs=[job],
        initial=lambda: jax.device_put(jax.jit(lambda: initial(job, job.key, upstream))(), everywhere),
        advance=advance,
        like=placed(job.abstract_state(upstream), everywhere),
        join=lambda states: states[0],
        split=lambda tree: [tree],
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
    return np.stack(
        [
            order.indices(job.view.labels, len(job.view), job.section.batch_size, job.stage.strata, job.seed, number)
            for number in range(step, step + job.section.steps_per_dispatch)
        ]
    )


def table(job: Job, upstream: Upstream) -> dict[str, Any]:
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


def dispatch(
    job: Job, state: PyTree, root: jax.Array, indices: jax.Array, step: jax.Array, table: Any, upstream: Upstream
) -> tuple[PyTree, Mapping[str, jax.Array]]:
    """As many steps of a job as `indices` `[steps, batch]` has rows, and their metrics averaged; to be compiled."""
    flip_key, update_key = jax.random.fold_in(root, 1), jax.random.fold_in(root, 2)

    def one(state: PyTree, step: jax.Array, index: jax.Array) -> tuple[PyTree, Mapping[str, jax.Array]]:
        batch = _gather(job, table, index, jax.random.fold_in(flip_key, step))
        return job.stage.update(state, batch, jax.random.fold_in(update_key, step), upstream)

    if len(indices) == 1:
        return one(state, step, indices[0])
    steps = step + jnp.arange(len(indices), dtype=jnp.int32)
    state, metrics = jax.lax.scan(lambda state, at: one(state, *at), state, (steps, indices))
    return state, jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), metrics)


def _gather(job: Job, table: dict[str, Any], index: jax.Array, key: jax.Array) -> Batch:
    """The batch at `index`, with flips."""
    mirrored = jax.random.bernoulli(key, 0.5 if job.flips else 0.0, index.shape)
    if job.stage.inputs is None:
        images = passes.to_float(table["rows"]["images"][0, index])
        batch = {"images": jnp.where(mirrored[:, None, None, None], images[:, :, ::-1], images)}
    else:
        batch = jax.tree.map(lambda leaf: leaf[mirrored.astype(jnp.int32), index], table["rows"])
    return {**batch, "labels": table["labels"][index]} if "labels" in table else batch
