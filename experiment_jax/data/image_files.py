"""Image files: what a PNG, JPEG, WebP or GIF shows, and the image files of a folder.

A file is read by its content, whatever its name ends in. What it shows is what a viewer that knows nothing of colour
profiles shows: palettes looked up, 16 bits brought to 8, inks to colours, orientation tags obeyed; gamma and profiles
are left as they are. What has no one meaning is refused: transparent pixels, several frames.
"""

import contextlib
import io
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from experiment_jax.data.image_arrays import with_channels, without_opacity
from experiment_jax.errors import UserError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
SHOWN = {"1": "L", "L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB"}  # Pillow's modes; and palettes
DEEP = ("I;16B", "LA;16B", "RGB;16B", "RGBA;16B")  # Pillow's names of what a PNG of 16 bits holds
COARSE = {
    "L;2": 85,
    "L;4": 17,
}  # by which Pillow multiplies pixels of 2 and 4 bits, but not the grey that is transparent
LITTER = ("thumbs.db", "desktop.ini", "__macosx")  # of file managers; hidden files are passed over too (.DS_Store)
OPENING = threading.Lock()  # filters of warnings belong to the process, not to a thread


def read(path: Path, size: tuple[int, int] | None = None, wanted: str = "") -> np.ndarray:
    """What an image file shows, uint8 `[height, width, channels]`; one channel where the file is grey, else three.

    Args:
        path: of a PNG, JPEG, WebP or GIF.
        size: (height, width) that it must have; None: any.
        wanted: what a message says of that size, as "the data set's images are 28x28".

    Raises:
        UserError: what `opened` or `pixels` refuses.
    """
    with opened(path, wanted) as image:
        return pixels(image, size, wanted)


def decode(content: bytes) -> np.ndarray:
    """What the content of an image file shows; see `read`.

    Raises:
        UserError: what `opened` or `pixels` refuses; the line names no path.
    """
    with _opened(content) as image:
        return pixels(image)


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
    """An image file, whole, not yet decoded; for `pixels`.

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
        with _opened(content, wanted) as image:
            yield image
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


@contextlib.contextmanager
def _opened(content: bytes, wanted: str = "") -> Iterator[Image.Image]:
    """`opened`, of what a file holds."""
    if not content:
        raise UserError("is empty, 0 bytes; write it again, or move it away")
    try:
        with _open(content) as image:
            _check_end(image, content)
            yield image
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(f"has far too many pixels{wanted and '; '}{wanted}") from None
    except UnidentifiedImageError:
        raise UserError(
            "is neither a PNG nor a JPEG, WebP or GIF, or its beginning is broken; move it away, or write it again"
        ) from None
    except Exception as error:  # Pillow raises almost anything of a file that ends too soon or lies
        reason = str(error).splitlines() or [type(error).__name__]
        raise UserError(f"cannot be read ({reason[0]}); write it again") from error


def pixels(image: Image.Image, size: tuple[int, int] | None = None, wanted: str = "") -> np.ndarray:
    """What an image shows, uint8 `[height, width, channels]`, with one channel where it is grey, else three.

    Args:
        image: from `opened`.
        size: (height, width) that it must have, looked at before it is decoded; None: any.
        wanted: see `read`.

    Raises:
        UserError: another size, several frames, a frame that is smaller than its image, transparent pixels, or a mode
            that is not known.
    """
    if size is not None and sorted(image.size) != sorted(size):  # orientation may yet turn it
        raise UserError(f"is {image.width}x{image.height} pixels; {wanted}: resize it to that")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # an MPO is a JPEG with further pictures behind the one that it shows
        raise UserError(f"is an animation of {frames} frames; save each frame as a file")
    if image.format == "GIF" and image.tile[0].extents != (0, 0, *image.size):
        raise UserError("has a frame that covers a part of its image; save it as PNG")
    shown = without_opacity(_values(image))
    height, width, _ = shown.shape
    if size is not None and (height, width) != size:
        raise UserError(f"is {width}x{height} pixels; {wanted}: resize it to that")
    if shown.dtype == np.uint16:
        shown = (shown.astype(np.uint32) * 255 + 32767) // 65535  # the nearest; there are no ties
    return shown.astype(np.uint8)


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


def _open(content: bytes) -> Image.Image:
    """Pillow's image, its tags read; what Pillow warns of is an error."""
    with OPENING, warnings.catch_warnings():
        warnings.filterwarnings("error", category=RuntimeWarning)  # far too many pixels
        warnings.filterwarnings("error", category=UserWarning)  # tags that cannot be read: is the image to be turned?
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        try:
            if image.format != "PNG":  # which has checksums, and would be decoded for its tags
                image.getexif()
        except Exception:
            image.close()
            raise
        return image


def _check_end(image: Image.Image, content: bytes) -> None:
    """Refuses a PNG whose checksums are wrong, and a JPEG or GIF without the mark of its end: where zeros stand in its
    place, Pillow decodes them without a word."""
    if image.format == "PNG":
        with Image.open(io.BytesIO(content), formats=("PNG",)) as again:
            again.verify()
        return
    if image.format == "GIF":
        ends = content.rstrip(b"\0").endswith(b";")
    else:  # an end after the last scan's start; a WebP says how long it is
        ends = image.format == "WEBP" or content.rfind(b"\xff\xd9") >= content.rfind(b"\xff\xda")
    if not ends:
        raise UserError("ends too soon; write it again")


def _values(image: Image.Image) -> np.ndarray:
    """The pixels of an image, the right way up: uint8 or uint16 `[height, width, channels]`; the last of two or four
    channels is opacity."""
    stored = image.tile[0].args if image.format == "PNG" else ""
    if stored in DEEP:
        values = _sixteen_bits(image.fp.getvalue(), stored)
    else:
        ImageOps.exif_transpose(image, in_place=True)
        mode = SHOWN.get(image.mode)
        if image.mode == "P":
            mode = "RGBA" if image.has_transparency_data else "RGB"
        if mode is None:
            raise UserError(f"is of mode {image.mode}; save it as 8 bits of grey or RGB")
        values = np.asarray(image if image.mode == mode else image.convert(mode))
        values = values.reshape(*values.shape[:2], -1)
    if values.shape[-1] in (2, 4) or "transparency" not in image.info:
        return values
    key = np.multiply(image.info["transparency"], COARSE.get(stored, 1))  # the grey or the colour that is transparent
    opacity = np.where((values == key).all(axis=-1, keepdims=True), 0, np.iinfo(values.dtype).max)
    return np.concatenate([values, opacity.astype(values.dtype)], axis=-1)


def _sixteen_bits(content: bytes, stored: str) -> np.ndarray:
    """The samples of a PNG of 16 bits, the right way up: uint16 `[height, width, channels]`.

    Pillow keeps the upper 8 bits of colours. It is made to read the lower ones too, as if the bytes came in the other
    order; grey with opacity is as long as four samples of 8 bits, so both halves come at once.
    """

    def decoded(stored: str) -> np.ndarray:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            image.tile = [image.tile[0]._replace(args=stored)]
            return np.asarray(ImageOps.exif_transpose(image)).astype(np.uint16)

    if stored == "I;16B":
        return decoded(stored)[..., None]
    if stored == "LA;16B":
        samples = decoded("RGBA")
        return samples[..., 0::2] * 256 + samples[..., 1::2]
    return decoded(stored) * 256 + decoded(stored.removesuffix("B") + "L")
