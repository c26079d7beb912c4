"""The order of the data: a pure function of (seed, step), so that resuming needs no iterator state."""

import functools
from collections.abc import Callable, Iterator

import numpy as np

Line = Callable[[int, int], np.ndarray]  # (step, count) -> that many examples, int64


class Order:
    """Which examples each batch of a stage holds.

    The order is one endless line of permutations, an epoch each, cut into batches. A stratified batch takes the same
    number from each class's own line and is sorted by class. Where classes are known as probabilities, a class's part
    of a batch is drawn with replacement, each example in proportion to its probability of that class.

    A batch may begin with pairs: as many of each class, sorted by class, from lines of their own.
    """

    def __init__(
        self,
        labels: np.ndarray | None,
        size: int,
        batch_size: int,
        num_classes: int | None,
        seed: int,
        *,
        probabilities: np.ndarray | None = None,
        pairs: int = 0,
        pair_classes: int = 1,
    ) -> None:
        """
        Args:
            labels: int32 `[size]`, needed where stratified or with pairs; each class has a member. They are scanned
                here, once.
            size: number of examples, at least one.
            batch_size: over all devices.
            num_classes: the number of classes of a stratified batch; None: not stratified.
            seed: of the run. Two stages with the same view and classes see the same permutations.
            probabilities: of each class, float32 `[size, num_classes]`, for a stratified batch.
            pairs: how many examples of a batch, the first, are pairs.
            pair_classes: the number of their classes.
        """
        self._parts: list[tuple[Line, int]] = []  # lines, and how many examples of a batch each gives

        def share(lines: Iterator[Line], count: int, classes: int) -> None:
            self._parts += [(line, count // classes) for line in lines]

        def by_class(classes: int, first: int) -> Iterator[Line]:
            for label in range(classes):
                yield _Permuted(np.flatnonzero(labels == label), seed, first + label)

        if pairs:
            share(by_class(pair_classes, first=pair_classes + 1), pairs, pair_classes)
        if num_classes is None:
            share(iter([_Permuted(np.arange(size), seed, 0)]), batch_size - pairs, 1)
        elif probabilities is None:
            share(by_class(num_classes, first=1), batch_size - pairs, num_classes)
        else:
            drawn = (_Drawn(column, seed, 1 + label) for label, column in enumerate(probabilities.T))
            share(drawn, batch_size - pairs, num_classes)

    def indices(self, step: int) -> np.ndarray:
        """The examples int32 `[batch_size]` in the batch of `step`, which counts from 0."""
        return np.concatenate([line(step, count) for line, count in self._parts]).astype(np.int32)


class _Permuted:
    """An endless line of permutations of `members`, cut into steps."""

    def __init__(self, members: np.ndarray, seed: int, number: int) -> None:
        self._members, self._seed, self._number = members, seed, number

    def __call__(self, step: int, count: int) -> np.ndarray:
        size, start = len(self._members), step * count
        epochs = range(start // size, (start + count - 1) // size + 1)
        line = np.concatenate([_permutation(self._seed, self._number, epoch, size) for epoch in epochs])
        offset = start - epochs[0] * size
        return self._members[line[offset : offset + count]]


class _Drawn:
    """Examples drawn with replacement in proportion to `weights`, anew at every step."""

    def __init__(self, weights: np.ndarray, seed: int, number: int) -> None:
        self._sums, self._seed, self._number = np.cumsum(weights, dtype=np.float64), seed, number

    def __call__(self, step: int, count: int) -> np.ndarray:
        at = np.random.default_rng([self._seed, self._number, step]).random(count) * self._sums[-1]
        return np.searchsorted(self._sums, at, side="right")


@functools.lru_cache(maxsize=512)
def _permutation(seed: int, number: int, epoch: int, size: int) -> np.ndarray:
    return np.random.default_rng([seed, number, epoch]).permutation(size)
