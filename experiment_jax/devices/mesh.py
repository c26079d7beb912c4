"""The devices that train together, as one mesh under `jit`; the other way to use them is in `devices.pmap`."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from experiment_jax.devices.batch_axis import WHOLE, BatchAxis
from experiment_jax.errors import UserError

PyTree = Any
BATCH = "batch"  # the mesh's one axis


@dataclasses.dataclass(frozen=True)
class Program:
    """A program that is not compiled yet.

    Attributes:
        lowered: of all devices, or under pmap of one.
        jaxpr: what it computes, traced; None under pmap, which does not show it.
        parts: how many devices share what `lowered` computes.
    """

    lowered: jax.stages.Lowered
    jaxpr: ClosedJaxpr | None
    parts: int


@dataclasses.dataclass(frozen=True)
class Devices:
    """Where states, tables and batches lie, and how a step is compiled for that.

    Attributes:
        mesh: of one axis; one device is a mesh of one.
        axis: the batch as stages see it.
    """

    mesh: Mesh
    axis: BatchAxis = WHOLE

    @classmethod
    def of(cls, devices: Sequence[jax.Device] | None = None) -> "Devices":
        """A mesh over `devices`, by default all."""
        return cls(Mesh(np.asarray(jax.devices() if devices is None else devices), (BATCH,)))

    @property
    def everywhere(self) -> NamedSharding:
        """Every device holds the whole array."""
        return NamedSharding(self.mesh, PartitionSpec())

    def shared(self, axis: int = 0) -> NamedSharding:
        """Each device holds its part of one axis of an array."""
        return NamedSharding(self.mesh, PartitionSpec(*[None] * axis, BATCH))

    def replicate(self, tree: PyTree) -> PyTree:
        """Arrays on the host, or on this process's devices, as arrays that every device holds."""
        if jax.process_count() == 1:
            return jax.device_put(tree, self.everywhere)

        def whole(leaf: Any) -> jax.Array:
            return jax.make_array_from_callback(np.shape(leaf), self.everywhere, lambda index: np.asarray(leaf)[index])

        return jax.tree.map(whole, tree)

    def share_rows(self, rows: PyTree) -> PyTree:
        """Rows `[steps, batch, …]` on the host, of this process's part of each batch, as arrays that devices share."""
        return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(self.shared(1), leaf), rows)

    def compile(self, steps: Callable[[PyTree, PyTree, PyTree], tuple[PyTree, PyTree]]) -> Callable[..., Any]:
        """(state, rows, common) -> (state, metrics), compiled; the memory of the state given is reused."""
        return jax.jit(steps, donate_argnums=0, out_shardings=(self.everywhere, self.everywhere))

    def lower(self, steps: Callable[[PyTree, PyTree, PyTree], Any], like: PyTree, rows: PyTree, common: Any) -> Program:
        """The program of `compile`, not compiled, for a state of the shapes and types of `like`."""

        def placed(leaf: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self.everywhere)

        traced = self.compile(steps).trace(jax.tree.map(placed, like), rows, common)
        return Program(traced.lower(), traced.jaxpr, self.mesh.size)

    def spread(self, state: PyTree) -> PyTree:
        """One state as the compiled steps take it."""
        return self.replicate(state)

    def local(self, tree: PyTree) -> PyTree:
        """A state or metrics as this process holds them, to compute with them without the other processes."""

        def own(leaf: Any) -> Any:
            elsewhere = isinstance(leaf, jax.Array) and not leaf.is_fully_addressable
            return leaf.addressable_data(0) if elsewhere else leaf

        return jax.tree.map(own, tree)

    def check_divides(self, batch_size: int, setting: str, strata: int = 1) -> None:
        """Raises UserError unless the devices share a batch evenly; what it advises `strata` classes share too."""
        if batch_size % self.mesh.size:
            nearest = self.nearest(batch_size, strata)
            raise UserError(
                f"{setting}={batch_size}: {self.mesh.size} devices cannot share it; type --config.{setting}={nearest}"
            )

    def nearest(self, batch_size: float, strata: int = 1) -> int:
        """The batch size nearest to that one which the devices share evenly, and `strata` classes too."""
        unit = math.lcm(self.mesh.size, strata)
        return max(round(batch_size / unit), 1) * unit

    def check_even(self) -> None:
        """Raises UserError unless each process has equally many of the devices."""
        owners = [device.process_index for device in self.mesh.devices.flat]
        counts = [owners.count(process) for process in range(jax.process_count())]
        if len(set(counts)) > 1:
            few, many = (f"process {counts.index(each(counts))} has {each(counts)}" for each in (min, max))
            raise UserError(f"devices: {few} and {many}; start processes with equally many devices each")


def own_rows(batch_size: int) -> slice:
    """Which rows of a batch lie on the devices of this process."""
    share = batch_size // jax.process_count()
    return slice(jax.process_index() * share, (jax.process_index() + 1) * share)
