"""Arrays of images as the images of a data set: 8 bits a channel, channels last, as many channels as the set has."""

import logging

import numpy as np

from experiment_jax.data.decoding import with_channels, without_opacity
from experiment_jax.errors import UserError

log = logging.getLogger(__name__)


def as_bytes(images: np.ndarray) -> np.ndarray:
    """Images of whole numbers from 0 to 255, or of truth values, of any type, as uint8 of the same shape.

    Numbers on another scale are not guessed at: images that lie within [0, 1] may be meant so or as bright ones of
    [-1, 1].

    Raises:
        UserError: values that are no numbers, not finite or on another scale; the line says what to type.
    """
    if images.dtype.kind not in "buif":
        raise UserError(f"images are of type {images.dtype}; save numbers from 0 to 255, of type uint8")
    if not images.size:
        raise UserError(f"there are no images; they are {list(images.shape)}")
    if images.dtype.kind == "b":
        return np.where(images, np.uint8(255), np.uint8(0))
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        bad = images.size - np.count_nonzero(np.isfinite(images))
        raise UserError(f"images hold {bad} values of {images.size} that are NaN or infinite; leave those images out")
    low, high = images.min(), images.max()
    if low == high:
        raise UserError(f"images hold one value, {low:g}, everywhere; give images that differ")
    if low >= 0 and 1 < high <= 255 and (images.dtype.kind != "f" or np.array_equal(images, np.rint(images))):
        return images.astype(np.uint8)
    found = f"{images.dtype} from {low:g} to {high:g}"
    raise UserError(f"images hold {found}; whole numbers from 0 to 255 are read: {_scaling(low, high)}")


def as_shape(images: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Images uint8 of any layout that can be told as `[N, *shape]`.

    Args:
        images: `[N, height, width, channels]`, `[N, channels, height, width]` or grey `[N, height, width]`; the last of
            two or four channels is opacity.
        shape: (height, width, channels) of a data set.

    Raises:
        UserError: another size, a layout that could be either, or what `with_channels` refuses.
    """
    found, size = images.shape[1:], shape[:2]
    last = len(found) == 3 and found[:2] == size
    first = len(found) == 3 and found[1:] == size
    if found == size:
        images = images[..., None]
    elif first and not last:
        log.info("images are [N, channels, height, width]; their channels are put last")
        images = np.moveaxis(images, 1, -1)
    elif not last or (first and found != shape):
        height, width, channels = shape
        raise UserError(
            f"images are {list(images.shape)}; the data set's are [N, {height}, {width}, {channels}]: resize them, or "
            "bring their axes into this order"
        )
    return with_channels(without_opacity(images), shape[-1])


def _scaling(low: float, high: float) -> str:
    """What to type for images from `low` to `high`."""
    if low >= 0 and high <= 1:
        return "type np.rint(images * 255).astype(np.uint8), or np.rint((images + 1) * 127.5) in it where -1 is black"
    if low >= -1 and high <= 1:
        return "type np.rint((images + 1) * 127.5).astype(np.uint8)"
    if low >= 0 and high <= 255:
        return "type np.rint(images).astype(np.uint8)"
    if low >= 0 and high <= 65535:
        return "type np.rint(images / 257).astype(np.uint8) where 65535 is white"
    return "scale and clip them"
