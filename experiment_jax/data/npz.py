"""Arrays of an .npz: images and labels as anybody saves them, brought to 8 bits; and a data set that is one."""

import logging
import zipfile
from pathlib import Path

import numpy as np

from experiment_jax.data.source import Source, classes_of, of_arrays
from experiment_jax.errors import UserError

log = logging.getLogger(__name__)

ARRAYS = ("images", "arr_0"), ("labels", "arr_1")  # names in an .npz; the second of each is numpy's own
CHANNELS = (1, 2, 3, 4)
WITH_OPACITY = (2, 4)


def source(name: str, image: str | None, label: str | None) -> Source:
    """An .npz as a data set: images `[N, height, width, channels]`, `[N, channels, height, width]` or grey
    `[N, height, width]`, and labels `[N]`, numbers or words, each of which is a class.

    Args:
        name: its path.
        image: the array of images; None: one of ARRAYS.
        label: the array of labels; "label": one of ARRAYS; None: labels do not matter.

    Raises:
        UserError: no such arrays, or images or labels of another kind, shape or scale.
    """
    path = Path(name).expanduser()
    try:
        images, labels = arrays(path, image, None if label == "label" else label)
        if label is None:
            return of_arrays(name, _channels_last(as_bytes(images)), np.zeros(len(images), np.int32), ())
        if labels is None:
            raise UserError("holds no array of labels; type --config.data.label=NAME, or save one as labels")
        images = _channels_last(as_bytes(images))
        if labels.size != len(images) or max(labels.shape, default=1) != len(images):
            raise UserError(f"labels are {list(labels.shape)} for {len(images)} images; give one an image")
        return of_arrays(name, images, *classes_of(labels.reshape(-1).tolist()))
    except (UserError, ValueError) as error:  # the latter of `classes_of`
        raise UserError(f"data.name={name}: {error}") from None


def _channels_last(images: np.ndarray) -> np.ndarray:
    found = images.shape
    if len(found) == 3:
        return images[..., None]
    last, second = (len(found) == 4 and found[axis] in CHANNELS for axis in (-1, 1))
    if last and not (second and found[-1] in WITH_OPACITY):
        return images
    if second and not last:
        return np.moveaxis(images, 1, -1)
    raise UserError(f"images are {list(found)}; save them as [N, height, width] or [N, height, width, 1 or 3]")


def arrays(path: Path, image: str | None = None, label: str | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """The arrays of an .npz that hold images and labels, as they are. Nothing is unpickled.

    Args:
        path: of the file.
        image: the array of images; None: the first of ARRAYS that is there.
        label: the array of labels; None: the second, and None where there is none.

    Raises:
        UserError: no .npz, no such array, or one that is damaged; the line does not name the path.
    """
    if not zipfile.is_zipfile(path):
        raise UserError("is no .npz, or the beginning of one, or may not be read; save it by np.savez")
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            images, labels = (
                own or next((name for name in pair if name in names), None)
                for own, pair in zip((image, label), ARRAYS, strict=True)
            )
            if images is None or (missing := {images, labels} - {None, *names}):
                lacks = "" if images is None else f" and not {min(missing)}"
                raise UserError(f"holds {', '.join(names) or 'nothing'}{lacks}; name its arrays images and labels")
            if others := [name for name in names if name not in (images, labels)]:
                log.warning("%s: what is not read: %s", path, ", ".join(others))
            found = archive[images], None if labels is None else archive[labels]
    except UserError:
        raise
    except Exception as error:  # whatever a broken archive makes of its readers
        if "allow_pickle" in str(error):
            raise UserError(
                "holds Python objects, which are not read; save numbers or text, as array.astype(str)"
            ) from None
        reason = str(error).splitlines() or [type(error).__name__]
        raise UserError(f"cannot be read ({reason[0]}); save it again") from error
    if not all(each is None or isinstance(each, np.ndarray) for each in found):
        raise UserError("holds files that are no arrays; save it by np.savez")
    return found


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
