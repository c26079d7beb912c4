"""One split of one data set, open for reading; and the part of a set that becomes its test images."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

UNKNOWN = -1  # the label of an image that has none; TFDS's own, too
CHUNK = 512  # examples that are read together
WITHOUT = (None, "", str(UNKNOWN))  # values that stand for no label, beside NaN
Decode = Callable[[bytes, int], np.ndarray]  # the content of an image file, channels -> uint8 [height, width, channels]


@dataclasses.dataclass(frozen=True)
class Source:
    """One split of one data set, open for reading a few examples at a time.

    Attributes:
        name: as it was given.
        count: of its examples.
        class_names: () where it has no labels, or where labels are not used.
        rows: the examples at some indices, each read when it is asked for: dictionaries with an `image` uint8
            `[height, width, channels]` and a `label`, -1 where there is none.
        labels: the labels at some indices; no image is decoded for them.
        contents: the images at some indices as bytes, as they are stored; each read when it is asked for.
    """

    name: str
    count: int
    class_names: tuple[str, ...]
    rows: Callable[[Sequence[int]], Iterable[dict[str, Any]]]
    labels: Callable[[Sequence[int]], list[int]]
    contents: Callable[[Sequence[int]], Iterable[bytes]]

    def take(self, index: np.ndarray) -> "Source":
        """The examples at int64 `[n]`."""

        def of(read: Callable[[Sequence[int]], Any]) -> Callable[[Sequence[int]], Any]:
            return lambda chosen: read(index[np.asarray(chosen)].tolist())

        return Source(self.name, len(index), self.class_names, of(self.rows), of(self.labels), of(self.contents))


def chunks(count: int) -> list[range]:
    """The examples of a source, CHUNK at a time."""
    return [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]


def of_arrays(name: str, images: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]) -> Source:
    """A source of images uint8 `[N, height, width, channels]` and labels int `[N]` in memory."""
    return Source(
        name,
        len(images),
        class_names,
        lambda index: (dict(image=images[i], label=labels[i]) for i in index),
        lambda index: labels[np.asarray(index)].tolist(),
        lambda index: (images[i].tobytes() for i in index),
    )


def of_contents(
    name: str,
    class_names: tuple[str, ...],
    labels: np.ndarray,
    contents: Callable[[Sequence[int]], Iterable[bytes]],
    shown: Callable[[int, bytes], np.ndarray],
) -> Source:
    """A source of image files whose labels, int `[N]`, are in memory.

    Args:
        name: see `Source`.
        class_names: see `Source`.
        labels: of all images.
        contents: see `Source`.
        shown: (number, content) -> the image of that number, uint8 `[height, width, channels]`.
    """

    def rows(index: Sequence[int]) -> Iterable[dict[str, Any]]:
        return (
            dict(image=shown(i, content), label=int(labels[i]))
            for i, content in zip(index, contents(index), strict=True)
        )

    return Source(name, len(labels), class_names, rows, lambda index: labels[list(index)].tolist(), contents)


def held_out(whole: Source, share: float, split: str) -> Source:
    """Train or test of a set that has no test images of its own.

    Whether an image is of test follows from its bytes alone. So it stays there whatever is added, renamed, moved to
    another class or given a label, equal images are on one side, and test for a larger share holds that for a smaller.

    Args:
        whole: all images.
        share: that test has of them, roughly.
        split: "train" or "test".
    """
    bound = share * 2**64
    contents = (content for chunk in chunks(whole.count) for content in whole.contents(chunk))
    is_test = [int.from_bytes(hashlib.sha256(content).digest()[:8]) < bound for content in contents]
    return whole.take(np.flatnonzero(np.array(is_test, bool) == (split == "test")))


def classes_of(values: Sequence[Any], known: tuple[str, ...] | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels int32 `[N]` and class names, of labels that are numbers, truth values or words: each value is a class.

    Args:
        values: one an image; None, NaN, -1 and the empty word are none.
        known: the class names, where another split has said them; None: they are found here, in their order.

    Raises:
        ValueError: no label at all, labels of other kinds, or one that is no class; its text is for the person.
    """
    plain = [_plain(value) for value in values]
    given = {value for value in plain if value is not None}
    if not given:
        raise ValueError("no image has a label; leave some that have")
    if known is None:
        numbers = all(isinstance(value, int) for value in given)
        known = tuple(map(str, sorted(given))) if numbers else tuple(sorted(set(map(str, given))))
    number = {name: place for place, name in enumerate(known)}
    if others := {str(value) for value in given} - number.keys():
        raise ValueError(f"label {min(others)} is no class of train, which has {', '.join(known[:10])}")
    return np.array([UNKNOWN if value is None else number[str(value)] for value in plain], np.int32), known


def _plain(value: Any) -> int | str | None:
    """A label as a whole number or a word; None: it is none."""
    value = value.item() if isinstance(value, np.generic) else value
    value = value.decode(errors="replace") if isinstance(value, bytes) else value
    if isinstance(value, str):
        value = value.strip()
    if value in WITHOUT or value == UNKNOWN or value != value:
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int | str):
        raise ValueError(f"label {value!r} is neither a whole number nor a word; give one class an image")
    return int(value) if isinstance(value, bool) else value
