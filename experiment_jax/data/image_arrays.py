"""Arrays of images as the images of a data set: channels last, as many channels as the set has; see `data.npz`."""

import logging

import numpy as np

from experiment_jax.data.decoding import with_channels, without_opacity
from experiment_jax.errors import UserError

log = logging.getLogger(__name__)


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
