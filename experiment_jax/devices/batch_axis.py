"""The batch as a stage sees it: whole under `jit`, one device's part of it under `pmap`."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax

PyTree = Any


@dataclasses.dataclass(frozen=True)
class BatchAxis:
    """Gathers, averages and draws over the whole batch.

    Under `jit` a stage sees the whole batch already, and the three methods do nothing. Under `pmap` each device sees
    its part, and they reach over all devices. A stage calls them either way.

    Attributes:
        name: of the mapped axis under `pmap`, for layers that average by themselves, as BatchNorm does; None under
            `jit`.
    """

    name: str | None = None

    def gather(self, tree: PyTree) -> PyTree:
        """The parts of all devices, joined along the first axis of each leaf."""
        if self.name is None:
            return tree
        return jax.tree.map(lambda leaf: jax.lax.all_gather(leaf, self.name, tiled=True), tree)

    def mean(self, tree: PyTree) -> PyTree:
        """The mean over devices of each leaf."""
        return tree if self.name is None else jax.lax.pmean(tree, self.name)

    def draw(
        self, sampler: Callable[[jax.Array, tuple[int, ...]], jax.Array], key: jax.Array, shape: Sequence[int]
    ) -> jax.Array:
        """`sampler(key, shape)`, in which each row of the batch gets the same numbers on any number of devices.

        Every device draws for the whole batch, which costs less than sending, and keeps its own rows.

        Args:
            sampler: such as `jax.random.normal`.
            key: the same on all devices.
            shape: `[rows, …]`, the rows that this device sees.
        """
        if self.name is None:
            return sampler(key, tuple(shape))
        rows, *rest = shape
        whole = sampler(key, (rows * jax.lax.axis_size(self.name), *rest))
        return jax.lax.dynamic_slice_in_dim(whole, rows * jax.lax.axis_index(self.name), rows)


WHOLE = BatchAxis()  # the batch under `jit`
