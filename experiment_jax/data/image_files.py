"""Image files: what they show (`data.decoding`), and the image files of a folder.

A file is read by its content, whatever its name ends in.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from experiment_jax.data import decoding
from experiment_jax.data.decoding import pixels, with_channels
from experiment_jax.errors import UserError

LITTER = ("thumbs.db", "desktop.ini", "__macosx")  # of file managers; hidden files are passed over too (.DS_Store)


def read(path: Path, size: tuple[int, int] | None = None, wanted: str = "") -> np.ndarray:
    """What an image file shows, uint8 `[height, width, channels]`; one channel where the file is grey, else three.

    Args:
        path: of a PNG, JPEG, WebP or GIF.
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
        path: of a PNG, JPEG, WebP or GIF.
        wanted: see `read`.

    Raises:
        UserError: a file that is missing, empty, broken, too large or no such image, found here or in decoding it, or
            what else the block refuses; the line begins with the path.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); make it readable") from None
    try:
        with decoding.opened(content, wanted) as image:
            yield image
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def listed(folder: Path) -> list[Path]:
    """All files under a folder, however deep, in the order of their paths.

    Hidden files and folders (names that begin with a dot) and what file managers leave are passed over, nothing else.

    Raises:
        UserError: no file, something that is neither file nor folder, or a folder that cannot be listed.
    """
    files = sorted(_below(folder, ()))
    if not files:
        raise UserError(f"{folder}: holds no image; give a folder of PNG, JPEG, WebP or GIF files")
    return files


def _below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """The files under a folder that is under the resolved folders `above`."""
    above = (*above, folder.resolve())
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({error.strerror}); make it readable") from None
    for path in found:
        if path.name.startswith(".") or path.name.lower() in LITTER:
            continue
        if os.path.isfile(path):  # in place of Path.is_file, which raises where it may not look
            yield path
        elif os.path.isdir(path) and path.resolve() not in above:
            yield from _below(path, above)
        else:  # such as a link that leads nowhere, or back to a folder that holds it
            raise UserError(f"{path}: is neither a file nor a folder of its own, or may not be read; move it away")
