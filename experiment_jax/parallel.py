"""Devices: the mesh, where arrays lie on it, and the two helpers that stages use.

Under `jit` over a mesh (the default) a stage sees the global batch and both helpers do nothing. Under `pmap` or
`shard_map` each device sees its part, and the stage's `axis_name` names the axis that they reduce over.
"""

from collections.abc import Sequence
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


def check_divisible(batch_size: int, mesh: Mesh, setting: str) -> None:
    """Raises UserError unless the devices share `batch_size` evenly."""
    if batch_size % mesh.size:
        nearest = max(round(batch_size / mesh.size), 1) * mesh.size
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
