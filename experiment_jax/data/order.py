"""The order of the data: a pure function of (seed, step), so that resuming needs no iterator state."""

import functools

import numpy as np


class Order:
    """Which examples each batch of a stage holds.

    The order is one endless line of permutations, an epoch each, cut into batches. A stratified batch takes the same
    number from each class's own line and is sorted by class.
    """

    def __init__(
        self, labels: np.ndarray | None, size: int, batch_size: int, num_classes: int | None, seed: int
    ) -> None:
        """
        Args:
            labels: int32 `[size]`, needed where stratified; each class has a member. They are scanned here, once.
            size: number of examples, at least one.
            batch_size: over all devices.
            num_classes: the number of classes of a stratified batch; None: not stratified.
            seed: of the run. Two stages with the same view and classes see the same permutations.
        """
        if num_classes is None:
            self._lines = {0: np.arange(size)}
        else:
            self._lines = {label + 1: np.flatnonzero(labels == label) for label in range(num_classes)}
        self._each = batch_size // len(self._lines)
        self._seed = seed

    def indices(self, step: int) -> np.ndarray:
        """The examples int32 `[batch_size]` in the batch of `step`, which counts from 0."""
        rows = [
            members[_line(self._seed, number, len(members), step * self._each, self._each)]
            for number, members in self._lines.items()
        ]
        return np.concatenate(rows).astype(np.int32)


def _line(seed: int, number: int, size: int, start: int, count: int) -> np.ndarray:
    """Positions start … start + count of line `number`'s endless sequence of permutations of range(size)."""
    epochs = range(start // size, (start + count - 1) // size + 1)
    line = np.concatenate([_permutation(seed, number, epoch, size) for epoch in epochs])
    offset = start - epochs[0] * size
    return line[offset : offset + count]


@functools.lru_cache(maxsize=512)
def _permutation(seed: int, number: int, epoch: int, size: int) -> np.ndarray:
    return np.random.default_rng([seed, number, epoch]).permutation(size)
