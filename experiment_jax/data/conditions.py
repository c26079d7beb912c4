"""What samples are drawn for, as people give it: labels, or low-resolution images; or refused."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from experiment_jax.errors import UserError

LARGEST = 16.0  # of a low-resolution image with noise, in units of [-1, 1]; beyond it is on the scale of 0 to 255


def labels(values: Any, num_classes: int, name: str = "condition", *, unknown: bool = False) -> np.ndarray:
    """Labels of samples, int32 `[N]`.

    Args:
        values: whole numbers of any type, one a sample.
        num_classes: of the run's data set.
        name: what the message calls them.
        unknown: whether -1 stands for a label that is not known.

    Raises:
        UserError: no labels, another shape or type, or a label that is no class.
    """
    least = -1 if unknown else 0
    array = _array(values, name, f"labels from {least} to {num_classes - 1}, one a sample, as in [0, 0, 0]")
    advice = f"give whole numbers from {least} to {num_classes - 1}, one a sample, as in [0, 0, 0]"
    if array.dtype.kind not in "iuf":
        raise UserError(f"{name}: labels are of type {array.dtype}; {advice}")
    if array.ndim != 1:
        raise UserError(f"{name}: labels are of shape {list(array.shape)}; {advice}")
    if not (are_whole := array == np.rint(array)).all():
        raise UserError(f"{name}: label {array[~are_whole][0]} is no whole number; {advice}")
    if not least <= array.min() <= array.max() < num_classes:
        raise UserError(
            f"{name}: labels are from {least} to {num_classes - 1}, not {array.min():g}…{array.max():g}; {advice}"
        )
    return array.astype(np.int32)


def low_resolution(values: Any, shape: tuple[int, int, int], name: str = "condition") -> np.ndarray:
    """Low-resolution images `[N, *shape]`, uint8 or float32 in [-1, 1].

    Args:
        values: uint8, or floats of any type in [-1, 1], and somewhat beyond where there is noise on them.
        shape: (height, width, channels) of the run's low resolution.
        name: what the message calls them.

    Raises:
        UserError: no images, another shape or type, values that are not finite, or on another scale.
    """
    advice = f"give uint8 [N, {', '.join(map(str, shape))}], or floats in [-1, 1]"
    array = _array(values, name, advice.removeprefix("give "))
    if array.shape[1:] != shape or array.ndim != 4:
        raise UserError(f"{name}: low-resolution images are {array.shape[1:]}, the run's are {shape}; {advice}")
    if array.dtype == np.uint8:
        return array
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise UserError(f"{name}: low-resolution images are of type {array.dtype}; {advice}")
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise UserError(f"{name}: low-resolution images hold values that are NaN or infinite; {advice}")
    if np.abs(array).max() > LARGEST:
        raise UserError(f"{name}: low-resolution images are from {array.min():g} to {array.max():g}; {advice}")
    return array


def _array(values: Any, name: str, wanted: str) -> np.ndarray:
    """The values as an array that is not empty."""
    if values is None:
        raise UserError(f"{name}: is None; give {wanted}")
    try:
        array = np.asarray(values)
    except Exception as error:  # rows of different lengths, and whatever else is no array
        raise UserError(f"{name}: is no array ({str(error).splitlines()[0]}); give {wanted}") from None
    if not array.size:
        raise UserError(f"{name}: is empty; give {wanted}")
    return array
