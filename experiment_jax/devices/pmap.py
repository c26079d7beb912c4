"""Devices under `jax.pmap`, `--config.parallel=pmap`: each holds a copy of the state and sees its part of the batch.

For the devices of one process. Batches, random numbers and results are those of `jit`, up to the order of sums.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiment_jax.devices.batch_axis import BatchAxis
from experiment_jax.devices.mesh import BATCH, Devices, Program
from experiment_jax.errors import UserError

PyTree = Any
MAPPED = BatchAxis(BATCH)


def choose(parallel: str, devices: Sequence[jax.Device] | None = None) -> Devices:
    """The devices in the way that the config's `parallel` names, "jit" or "pmap".

    Raises:
        UserError: another name, or "pmap" with several processes.
    """
    if parallel not in ("jit", "pmap"):
        raise UserError(f"parallel={parallel}: choose jit or pmap")
    if parallel == "jit":
        return Devices.of(devices)
    if jax.process_count() > 1:
        raise UserError(
            f"parallel=pmap: serves the devices of one process, not of {jax.process_count()}; "
            f"type --config.parallel=jit"
        )
    return PmapDevices.of(devices)


@dataclasses.dataclass(frozen=True)
class PmapDevices(Devices):
    """See the module. The devices are the first axis of every leaf of a state; `spread` adds it, `local` drops it."""

    axis: BatchAxis = MAPPED

    def share_rows(self, rows: PyTree) -> PyTree:
        return jax.device_put(jax.tree.map(self.parts, rows), self.shared())

    def parts(self, array: np.ndarray) -> np.ndarray:
        """`[steps, batch, …]` as `[devices, steps, batch / devices, …]`: side by side again they are the batch."""
        steps, batch, *rest = array.shape
        return np.moveaxis(array.reshape(steps, self.mesh.size, batch // self.mesh.size, *rest), 1, 0)

    def compile(self, steps: Callable[[PyTree, PyTree, PyTree], tuple[PyTree, PyTree]]) -> Callable[..., Any]:
        # `common` is one argument: jax 0.10.2 misreads a flat prefix where there are as many leaves as axes.
        return jax.pmap(
            steps,
            axis_name=self.axis.name,
            in_axes=(0, 0, None),
            devices=list(self.mesh.devices.flat),
            donate_argnums=0,
        )

    def spread(self, state: PyTree) -> PyTree:
        def copies(leaf: jax.Array) -> jax.Array:
            return jnp.broadcast_to(leaf, (self.mesh.size, *leaf.shape))

        return jax.jit(lambda tree: jax.tree.map(copies, tree), out_shardings=self.shared())(state)

    def lower(self, steps: Callable[[PyTree, PyTree, PyTree], Any], like: PyTree, rows: PyTree, common: Any) -> Program:
        copies = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((self.mesh.size, *leaf.shape), leaf.dtype), like)
        return Program(self.compile(steps).lower(copies, rows, common), None, 1)

    def local(self, tree: PyTree) -> PyTree:
        # Indexing the array itself would start one multi-device program a leaf; many of these at once can deadlock.
        def first(leaf: Any) -> Any:
            return leaf[0] if isinstance(leaf, np.ndarray) else leaf.addressable_shards[0].data[0]

        return jax.tree.map(first, tree)
