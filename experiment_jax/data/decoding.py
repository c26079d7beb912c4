"""What the content of an image file shows, of the formats in FORMATS.

It is known by its content alone. What it shows is what a viewer that knows nothing of colour profiles shows: palettes
looked up, 16 bits brought to 8, inks to colours, orientation tags obeyed; gamma and profiles are left as they are. What
has no one meaning is refused: transparent pixels, several frames.
"""

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from experiment_jax.errors import UserError

# Those that Pillow reads of itself and that begin with a mark of their own; so no other bytes pass for an image.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
NAMES = "PNG, JPEG, WebP, GIF, BMP, TIFF, PPM, JPEG 2000 or AVIF"
BITS = 258  # the tag of a TIFF that says how many bits a sample has
SHOWN = {"1": "L", "L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB"}  # Pillow's modes; and palettes
DEEP = ("I;16B", "LA;16B", "RGB;16B", "RGBA;16B")  # Pillow's names of what a PNG of 16 bits holds
COARSE = {
    "L;2": 85,
    "L;4": 17,
}  # by which Pillow multiplies pixels of 2 and 4 bits, but not the grey that is transparent
ROUNDING = 1  # levels by which the channels of a grey image may differ: WebP computes colours of every image
OPENING = threading.Lock()  # filters of warnings belong to the process, not to a thread


def decode(content: bytes, channels: int = 0) -> np.ndarray:
    """What the content of an image file shows, uint8 `[height, width, channels]`.

    Args:
        content: of an image file.
        channels: 1 or 3, as `with_channels` makes them; else one where the file is grey, and three where it is not.

    Raises:
        UserError: what `opened`, `pixels` or `with_channels` refuses.
    """
    with opened(content) as image:
        shown = pixels(image)
    return with_channels(shown, channels) if channels in (1, 3) else shown


@contextlib.contextmanager
def opened(content: bytes, wanted: str = "") -> Iterator[Image.Image]:
    """An image, whole, not yet decoded; for `pixels`.

    Args:
        content: of an image file.
        wanted: what a message says of the size, as "the data set's images are 28x28".

    Raises:
        UserError: what is empty, broken, too large or no such image, found here or in decoding it, or what else the
            block refuses.
    """
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
        raise UserError(f"is no {NAMES}, or its beginning is broken; move it away, or write it again") from None
    except Exception as error:  # Pillow raises almost anything of a file that ends too soon or lies
        reason = str(error).splitlines() or [type(error).__name__]
        raise UserError(f"cannot be read ({reason[0]}); write it again") from error


def pixels(image: Image.Image, size: tuple[int, int] | None = None, wanted: str = "") -> np.ndarray:
    """What an image shows, uint8 `[height, width, channels]`, with one channel where it is grey, else three.

    Args:
        image: from `opened`.
        size: (height, width) that it must have, looked at before it is decoded; None: any.
        wanted: see `opened`.

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


def without_opacity(values: np.ndarray) -> np.ndarray:
    """Images `[..., channels]` of unsigned integers without their opacity, the last of two or four channels.

    Raises:
        UserError: pixels that are not wholly opaque. What they show depends on what lies behind them, and white, black
            and leaving opacity out are three different images.
    """
    if values.shape[-1] not in (2, 4):
        return values
    clear = np.count_nonzero(values[..., -1] != np.iinfo(values.dtype).max)
    if clear:
        raise UserError(
            f"{clear} of {values[..., -1].size} pixels are transparent, and what they show depends on what lies behind "
            "them; save it on a background, without transparency"
        )
    return values[..., :-1]


def with_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """Images uint8 `[..., 1 or 3]` with as many channels as a data set: grey is repeated, and colours become grey where
    their channels are the same.

    Raises:
        UserError: colours where the data set is grey, or a number of channels that stands for neither.
    """
    found = images.shape[-1]
    if found == channels:
        return images
    if (found, channels) == (1, 3):
        return np.repeat(images, 3, axis=-1)
    if (found, channels) != (3, 1):
        raise UserError(f"{found} channels; the data set's images have {channels}")
    if (images.max(axis=-1) - images.min(axis=-1)).max() > ROUNDING:
        raise UserError("shows colours; the data set's images are grey: convert it to grey")
    return images[..., 1:2]  # green, the nearest to what WebP rounded


def as_channels(image: np.ndarray, channels: int | None) -> np.ndarray:
    """An image uint8 `[height, width, 1 to 4]` as grey or in colours, as `data.channels` asks.

    Args:
        image: the last of two or four channels is opacity.
        channels: 1: colours become grey by ITU-R 601's luma; 3: grey is repeated; None: as they are.

    Raises:
        UserError: what `without_opacity` refuses.
    """
    image = without_opacity(image)
    if channels == 1 and image.shape[-1] == 3:
        return np.asarray(Image.fromarray(image).convert("L"))[..., None]
    return image if channels is None else with_channels(image, channels)


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
    place, Pillow decodes them without a word. Other formats say how long they are."""
    if image.format == "PNG":
        with Image.open(io.BytesIO(content), formats=("PNG",)) as again:
            again.verify()
        return
    ends = True
    if image.format == "GIF":
        ends = content.rstrip(b"\0").endswith(b";")
    elif image.format in ("JPEG", "MPO"):  # an end after the last scan's start
        ends = content.rfind(b"\xff\xd9") >= content.rfind(b"\xff\xda")
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
        if image.format == "TIFF" and max(image.tag_v2.get(BITS, (1,))) > 8:  # Pillow drops the lower ones
            raise UserError("is a TIFF of more than 8 bits a sample; save it as PNG, of which 16 are read")
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
