"""Checks of what a metric is given. Without them, unusable points or labels would give plausible numbers."""

import numpy as np

from experiment_jax.errors import UserError


def check_points(array: np.ndarray, name: str, minimum: int = 1, *, allow_constant: bool = False) -> np.ndarray:
    """Refuses a set of points of which a distance or a moment would mean nothing.

    Args:
        array: points, `[count, ...]`; features, latents or images.
        name: what the message calls the set, e.g. `"real"`.
        minimum: fewest points that the metric can use; k + 1 for k nearest neighbours.
        allow_constant: whether the metric is still defined where all points are one (W₁ and moments are, a k-nearest
            neighbour radius is not).

    Returns:
        The same points as a NumPy array, whatever kind of array came in.

    Raises:
        UserError: fewer than `minimum` points, values that are not finite, or one point repeated.
        ValueError: `array` has no feature axis.
    """
    array = np.asarray(array)
    if array.ndim < 2:
        raise ValueError(f"{name}: expected [count, ...], got shape {array.shape}")
    count = len(array)
    if count < minimum:
        raise UserError(f"{name}: {count} points, at least {minimum} are needed; draw more (--num_samples)")
    bad = array.size - np.count_nonzero(np.isfinite(array))
    if bad:
        raise UserError(
            f"{name}: {bad} of {array.size} values are NaN or infinite; "
            "evaluate an earlier checkpoint (--step) or train with a lower learning rate"
        )
    if count > 1 and not allow_constant and np.all(array == array[:1]):
        raise UserError(
            f"{name}: all {count} points are the same; the generator has collapsed or the features are dead: "
            "evaluate another checkpoint (--step) or train again"
        )
    return array


def check_classes(labels: np.ndarray, name: str, num_classes: int, minimum: int = 1) -> np.ndarray:
    """Refuses labels that leave a class without points to measure.

    Args:
        labels: integers in `[0, num_classes)`, `[count]`.
        name: what the message calls the set.
        num_classes: how many classes there are.
        minimum: fewest points a class; 2 where a variance is taken.

    Returns:
        The same labels as a NumPy array.

    Raises:
        UserError: a label outside `[0, num_classes)`, or a class with fewer than `minimum` points.
        ValueError: `labels` is not one axis of integers.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{name}: labels must be integers [count], got {labels.dtype} {labels.shape}")
    outside = int(np.count_nonzero((labels < 0) | (labels >= num_classes)))
    if outside:
        raise UserError(f"{name}: {outside} labels lie outside 0…{num_classes - 1}; set num_classes to the data's own")
    counts = np.bincount(labels, minlength=num_classes)
    poor = np.flatnonzero(counts < minimum)
    if poor.size:
        found = ", ".join(f"class {c} has {counts[c]}" for c in poor)
        raise UserError(f"{name}: at least {minimum} points a class are needed, but {found}; draw more (--num_samples)")
    return labels


def check_labelled(points: np.ndarray, labels: np.ndarray, name: str) -> None:
    """Raises ValueError unless there is one label a point."""
    if len(points) != len(labels):
        raise ValueError(f"{name}: {len(points)} points but {len(labels)} labels")


def check_same_features(a: np.ndarray, b: np.ndarray, names: str) -> None:
    """Raises ValueError unless the sets `a` `[n, ...]` and `b` `[m, ...]` agree in everything but the count."""
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(f"{names}: points of different shapes, {a.shape[1:]} and {b.shape[1:]}")
