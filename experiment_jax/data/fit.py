"""Images of sources cropped and resized to one shape."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from experiment_jax.data.names import title
from experiment_jax.data.source import Source
from experiment_jax.errors import UserError

LARGEST_SIDE = 8192  # pixels


def check_sides(crop: int | None, size: int | None) -> None:
    """Raises UserError where a side is one that no image has."""
    for key, side in (("crop", crop), ("size", size)):
        if side is not None and side < 1:
            raise UserError(f"data.{key}={side}: a side is one pixel or more; type --config.data.{key}=None")
        if side is not None and side > LARGEST_SIDE:
            raise UserError(
                f"data.{key}={side}: a side is {LARGEST_SIDE} pixels at most; type --config.data.{key}=None"
            )


def fit(image: np.ndarray, crop: int | None, size: int | None) -> np.ndarray:
    """An image uint8 `[height, width, channels]`, cropped, then resized.

    Args:
        image: at least `crop` pixels high and wide.
        crop: side of the central square that is kept (the odd pixel is cut below and to the right); None: all.
        size: side of the square that it becomes, by Pillow's bicubic filter, which widens as it reduces and so does not
            alias; an oblong image is squeezed. None: as it is.
    """
    if crop is not None:
        top, left = (image.shape[0] - crop) // 2, (image.shape[1] - crop) // 2
        image = image[top : top + crop, left : left + crop]
    if size is not None and image.shape[:2] != (size, size):
        plane = image[..., 0] if image.shape[-1] == 1 else image
        resized = Image.fromarray(plane).resize((size, size), Image.Resampling.BICUBIC)
        image = np.asarray(resized).reshape(size, size, image.shape[-1])
    return image


def examples(
    source: Source, index: Sequence[int], crop: int | None, size: int | None, shape: tuple[int, int, int] | None
) -> tuple[list[np.ndarray], list[int]]:
    """Images, cropped and resized, and labels of some examples of a source.

    Args:
        source: what they are read from.
        index: which.
        crop: see `fit`.
        size: see `fit`.
        shape: that all must have; None: any.

    Raises:
        UserError: an image that is smaller than the crop, or of another shape.
    """
    images, labels = [], []
    for row in source.rows(index):
        fits = min(row["image"].shape[:2])
        if crop is not None and crop > fits:
            raise UserError(
                f"data.crop={crop}: {title(source.name)} has images of {_text(row['image'].shape)}, which are "
                f"smaller; type --config.data.crop={fits}"
            )
        images.append(fit(row["image"], crop, size))
        labels.append(row["label"])
        _check_shape(source, images[-1].shape, shape)
    return images, labels


def _check_shape(source: Source, found: tuple[int, ...], shape: tuple[int, ...] | None) -> None:
    if shape in (None, found):
        return
    if shape[:2] == found[:2]:
        raise UserError(
            f"data.name={source.name}: has images in colours and grey ones; type --config.data.channels=3, or 1"
        )
    raise UserError(
        f"data.name={source.name}: images must be of one size; it has {_text(shape)} and {_text(found)}; "
        f"type --config.data.size={min(*shape[:2], *found[:2])}"
    )


def common_shape(name: str, sources: list[Source], crop: int | None, size: int | None) -> tuple[int, int, int]:
    """Of the first image of every set, looked at before any is read whole.

    Raises:
        UserError: they differ.
    """
    shapes = [examples(source, range(1), crop, size, None)[0][0].shape for source in sources]
    if len(set(shapes)) == 1:
        return shapes[0]
    found = ", ".join(f"{title(source.name)} {_text(shape)}" for source, shape in zip(sources, shapes, strict=True))
    if len({shape[-1] for shape in shapes}) > 1:
        advice = "type --config.data.channels=3, or 1"
    else:
        advice = f"type --config.data.size={min(min(shape[:2]) for shape in shapes)}"
    raise UserError(f"data.name={name}: joined images must be of one shape, not {found}; {advice}")


def scattered(
    sources: list[Source], crop: int | None, size: int | None, shape: tuple[int, int, int], index: np.ndarray
) -> np.ndarray:
    """Images uint8 `[n, …]` at int `[n]` of the whole: first those of the first source, then those of the next."""
    images, first = np.empty((len(index), *shape), np.uint8), 0
    for source in sources:
        own = np.flatnonzero((first <= index) & (index < first + source.count))
        if len(own):
            images[own] = examples(source, (index[own] - first).tolist(), crop, size, shape)[0]
        first += source.count
    return images


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
