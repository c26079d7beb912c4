"""Image files: what they show, by their content (`data.decoding`), whatever their names end in."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from experiment_jax.data import decoding
from experiment_jax.data.decoding import pixels, with_channels
from experiment_jax.data.folders import content
from experiment_jax.errors import UserError


def read(path: Path, size: tuple[int, int] | None = None, wanted: str = "") -> np.ndarray:
    """What an image file shows, uint8 `[height, width, channels]`; one channel where the file is grey, else three.

    Args:
        path: of an image file.
        size: (height, width) that it must have; None: any.
        wanted: what a message says of that size, as "the data set's images are 28x28".

    Raises:
        UserError: what `opened` or `decoding.pixels` refuses.
    """
    with opened(path, wanted) as image:
        return pixels(image, size, wanted)


def read_all(files: list[Path], shape: tuple[int, int, int], wanted: str) -> np.ndarray:
    """What image files show, brought to the channels of one shape: uint8 `[N, height, width, channels]`.

    Args:
        files: N of them.
        shape: (height, width, channels) that all must have.
        wanted: see `read`.

    Raises:
        UserError: what `read` refuses, or a file in colours where `shape` is grey; the line begins with its path.
    """
    images = np.empty((len(files), *shape), np.uint8)
    for number, file in enumerate(files):
        shown = read(file, shape[:2], wanted)
        try:
            images[number] = with_channels(shown, shape[-1])
        except UserError as error:
            raise UserError(f"{file}: {error}") from None
    return images


@contextlib.contextmanager
def opened(path: Path, wanted: str = "") -> Iterator[Image.Image]:
    """An image file, whole, not yet decoded; for `decoding.pixels`.

    Args:
        path: of an image file.
        wanted: see `read`.

    Raises:
        UserError: a file that is missing, empty, broken, too large or no such image, found here or in decoding it, or
            what else the block refuses; the line begins with the path.
    """
    encoded = content(path)
    try:
        with decoding.opened(encoded, wanted) as image:
            yield image
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
