"""The order of the data: a pure function of (seed, step), so that resuming needs no iterator state."""

import functools

import numpy as np


def indices(
    labels: np.ndarray | None, size: int, batch_size: int, num_classes: int | None, seed: int, step: int
) -> np.ndarray:
    """Which examples the batch of `step` holds: int32 `[batch_size]`.

    The order is one endless line of permutations, an epoch each, cut into batches. A stratified batch takes the same
    number from each class's own line and is sorted by class.

    Args:
        labels: int32 `[size]`, needed where stratified.
        size: number of examples.
        batch_size: over all devices.
        num_classes: the number of classes of a stratified batch; None: not stratified.
        seed: of the run and stage.
        step: from 0.
    """
    if num_classes is None:
        return _line(seed, 0, size, step * batch_size, batch_size).astype(np.int32)
    each = batch_size // num_classes
    rows = []
    for label in range(num_classes):
        members = np.flatnonzero(labels == label)
        rows.append(members[_line(seed, label + 1, len(members), step * each, each)])
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
