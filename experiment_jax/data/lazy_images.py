"""Images that do not fit into memory: an array-like object that reads from disk, and reading ahead.

`Images` can be indexed, passed over and digested like an array of images; each access reads from disk. Reading ahead
uses threads, not processes: decoding and resizing release Python's lock, images need not be copied between processes,
and a process must not be forked once JAX has started threads.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import grain
import numpy as np

CHUNK = 512  # images of a pass that one thread reads at a time
THREADS = min(os.cpu_count() or 1, 16)
AHEAD = 2  # batches that are sent to the devices before they are needed


class Images:
    """Images uint8 `[N, height, width, channels]` on disk, read-only, with the interface of an array."""

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self, read: Callable[[np.ndarray], np.ndarray], image_shape: tuple[int, int, int], index: np.ndarray
    ) -> None:
        """
        Args:
            read: (numbers int64 `[n]`) -> those images, uint8 `[n, height, width, channels]`; called by many threads.
            image_shape: (height, width, channels).
            index: which images these are, int64 `[N]`.
        """
        self._read, self._image_shape, self._index = read, image_shape, index

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self._index), *self._image_shape)

    def __len__(self) -> int:
        return len(self._index)

    def take(self, index: np.ndarray, axis: int = 0) -> "Images":
        """The images at `index`, none of which is read."""
        if axis:
            raise IndexError("images are taken along the first axis")
        return Images(self._read, self._image_shape, self._index[index])

    def __getitem__(self, where: Any) -> np.ndarray:
        """The images at an index, slice or array of the first axis, read now."""
        chosen = self._index[where]
        return self._read(np.ravel(chosen)).reshape(*np.shape(chosen), *self._image_shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of them, read now."""
        if copy is False:
            raise ValueError("images on disk have to be copied")
        whole = np.empty(self.shape, np.uint8)
        for start, rows in zip(range(0, len(self), CHUNK), slices(self, CHUNK), strict=True):
            whole[start : start + len(rows)] = rows
        return whole if dtype is None else whole.astype(dtype)


def slices(array: Any, size: int) -> Iterator[Any]:
    """array[:size], array[size : 2 · size], …, of any array; for `Images` the next slices are read ahead."""
    parts = range(0, len(array), size)
    if isinstance(array, Images):
        return ahead(lambda start: array[start : start + size], parts)
    return (array[start : start + size] for start in parts)


def ahead(read: Callable[[int], Any], numbers: range) -> Iterator[Any]:
    """read(number) for each of the numbers, in their order; threads read those that come next."""
    reading = grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=THREADS)
    return iter(grain.MapDataset.range(numbers.start, numbers.stop, numbers.step).map(read).to_iter_dataset(reading))


class Feed:
    """The rows of each dispatch, sent to the devices while the dispatch before it is being computed."""

    def __init__(self, read: Callable[[int], Any], put: Callable[[Any], Any], total: int, stride: int) -> None:
        """
        Args:
            read: step -> arrays on the host; called by many threads.
            put: arrays on the host -> on the devices, without waiting.
            total: steps in all.
            stride: steps a dispatch.
        """
        self._read, self._put, self._total, self._stride = read, put, total, stride
        self._next, self._ready, self._coming = -1, deque(), iter(())

    def __call__(self, step: int) -> Any:
        """What the dispatch of `step` reads; cheapest where that is the one after the last."""
        if step != self._next:
            self._ready.clear()
            self._coming = ahead(self._read, range(step, self._total, self._stride))
        for rows in self._coming:
            self._ready.append(self._put(rows))
            if len(self._ready) > AHEAD:
                break
        self._next = step + self._stride
        return self._ready.popleft()
