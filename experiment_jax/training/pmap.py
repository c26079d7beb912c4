"""The program of one job under `jax.pmap`: the other way to use several devices, `--config.parallel=pmap`.

Each device has a state of its own and sees its part of every batch; stages reduce over the axis that their context
names. Batches, random numbers and results are those of `program.single`, up to the order in which sums are taken.
For the devices of one process.
"""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiment_jax.devices import placement as parallel
from experiment_jax.method.stage import PyTree, Upstream
from experiment_jax.method.task import Job
from experiment_jax.training import step as program
from experiment_jax.training.step import Program


def single(job: Job, upstream: Upstream) -> Program:
    """The program of one job; what its batches come from is made at the first step.

    The state that `advance` takes has the devices as the first axis of every leaf; what `split` and `join` trade in,
    and what checkpoints hold, is one device's, as all are alike.
    """
    everywhere, apart = parallel.replicated(job.mesh), parallel.sharded(job.mesh)
    job = job.relabelled(upstream)
    frozen = parallel.place(dict(upstream), everywhere)
    spread = jax.jit(partial(jax.tree.map, partial(_copies, job.mesh.size)), out_shardings=apart)
    # One prefix that is a tuple: jax 0.10.2 takes a flat one as an axis a leaf where there are as many leaves as axes.
    compiled = jax.pmap(
        lambda state, picked, common: program.dispatch(job, state, picked, *common),
        axis_name=job.axis_name,
        in_axes=(0, 0, (None, None, None, None)),
        devices=list(job.mesh.devices.flat),
        donate_argnums=0,
    )
    batches: list[program.Batches] = []

    def put(picked: PyTree) -> PyTree:
        return jax.device_put(jax.tree.map(partial(parts, devices=job.mesh.size), picked), apart)

    def advance(state: PyTree, step: int) -> tuple[PyTree, Mapping[str, jax.Array]]:
        if not batches:
            batches.append(program.Batches(job, upstream, put))
        picked, table = batches[0](step)
        return compiled(state, picked, (job.key, np.int32(step), table, frozen))

    return Program(
        jobs=[job],
        initial=lambda: spread(jax.jit(lambda: program.initial(job, job.key, upstream))()),
        advance=advance,
        like=program.placed(job.abstract_state(upstream), everywhere),
        join=lambda states: spread(states[0]),
        split=lambda tree: [jax.tree.map(_first, tree)],
    )


def _first(leaf: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
    """That of the first device. Indexing all devices' array would be a program of all of them for each leaf, and such
    programs side by side may wait for each other for ever where eight fake devices share two cores."""
    return leaf[0] if isinstance(leaf, np.ndarray) else leaf.addressable_shards[0].data[0]


def _copies(count: int, leaf: jax.Array) -> jax.Array:
    return jnp.broadcast_to(leaf, (count, *leaf.shape))


def parts(array: np.ndarray, devices: int) -> np.ndarray:
    """`[steps, batch, …]` as `[devices, steps, batch / devices, …]`: side by side again they are the batch."""
    steps, batch, *rest = array.shape
    return np.moveaxis(array.reshape(steps, devices, batch // devices, *rest), 1, 0)
