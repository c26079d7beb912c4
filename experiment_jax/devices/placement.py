"""Devices: the mesh, where arrays lie on it, and the three helpers that stages use.

Under `jit` over a mesh (the default) a stage sees the global batch and the helpers do nothing. Under `pmap` each device
sees its part, and the stage's `axis_name` names the axis that they reduce over: `gather` and `mean` what is computed of
the batch, `draw` what is random for each of its rows, so that a row meets the same numbers on any device.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from experiment_jax.errors import UserError

BATCH_AXIS = "batch"


def mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A one-dimensional mesh over `devices`, by default all; one device is a mesh of one."""
    return Mesh(np.asarray(jax.devices() if devices is None else devices), (BATCH_AXIS,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def sharded(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Each device holds its part of array axis `axis`."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, BATCH_AXIS))


def place(tree: Any, sharding: NamedSharding) -> Any:
    """Arrays on the host, or on this process's devices, as arrays on the mesh; the same on every process."""
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def whole(leaf: Any) -> jax.Array:
        return jax.make_array_from_callback(np.shape(leaf), sharding, lambda index: np.asarray(leaf)[index])

    return jax.tree.map(whole, tree)


def assemble(tree: Any, sharding: NamedSharding) -> Any:
    """Arrays on the mesh, of which each process has its part on the host."""
    return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(sharding, leaf), tree)


def own_rows(batch_size: int) -> slice:
    """Which rows of a batch lie on the devices of this process."""
    share = batch_size // jax.process_count()
    return slice(jax.process_index() * share, (jax.process_index() + 1) * share)


def local(tree: Any) -> Any:
    """Replicated arrays as this process has them, so that it can compute with them without the others."""

    def own(leaf: Any) -> Any:
        elsewhere = isinstance(leaf, jax.Array) and not leaf.is_fully_addressable
        return leaf.addressable_data(0) if elsewhere else leaf

    return jax.tree.map(own, tree)


def axis_name(choice: str) -> str | None:
    """What the config calls `parallel` as the name of the mapped axis: None under "jit".

    Raises:
        UserError: neither "jit" nor "pmap", or "pmap" with several processes.
    """
    if choice not in ("jit", "pmap"):
        raise UserError(f"parallel={choice}: choose jit or pmap")
    if choice == "pmap" and jax.process_count() > 1:
        raise UserError(
            f"parallel=pmap: serves the devices of one process, not of {jax.process_count()}; "
            f"type --config.parallel=jit"
        )
    return BATCH_AXIS if choice == "pmap" else None


def check_divisible(batch_size: int, mesh: Mesh, setting: str, strata: int = 1) -> None:
    """Raises UserError unless the devices share `batch_size` evenly; what it advises `strata` classes share too."""
    if batch_size % mesh.size:
        unit = math.lcm(mesh.size, strata)
        nearest = max(round(batch_size / unit), 1) * unit
        raise UserError(
            f"{setting}={batch_size}: {mesh.size} devices cannot share it; type --config.{setting}={nearest}"
        )


def gather(tree: Any, axis_name: str | None) -> Any:
    """Each leaf's parts on all devices, joined along the first axis; `tree` itself where there is no axis."""
    if axis_name is None:
        return tree
    return jax.tree.map(lambda leaf: jax.lax.all_gather(leaf, axis_name, tiled=True), tree)


def mean(tree: Any, axis_name: str | None) -> Any:
    """Each leaf's mean over the devices; `tree` itself where there is no axis."""
    return tree if axis_name is None else jax.lax.pmean(tree, axis_name)


def draw(
    sampler: Callable[[jax.Array, tuple[int, ...]], jax.Array],
    key: jax.Array,
    shape: Sequence[int],
    axis_name: str | None,
) -> jax.Array:
    """`sampler(key, shape)` of a batch; under an axis this device's rows of what is drawn for the global batch.

    Every device draws it all, which costs less than sending it, and keeps the rows that it would have under `jit`.

    Args:
        sampler: (key, shape) -> array of that shape, such as `jax.random.normal`.
        key: the same on all devices.
        shape: what this device needs, `[its part of the batch, …]`.
        axis_name: see `gather`.
    """
    if axis_name is None:
        return sampler(key, tuple(shape))
    rows, *rest = shape
    whole = sampler(key, (rows * jax.lax.axis_size(axis_name), *rest))
    return jax.lax.dynamic_slice_in_dim(whole, rows * jax.lax.axis_index(axis_name), rows)
