"""Noise of figures: means and standard errors over repeated measurements, and which differences are ties."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

ERROR = "_se"  # behind a key: the standard error of its mean


def means(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over rows of what all of them have; of texts and truth values the first row's.

    A list is averaged place by place, None where no row has a value.
    """
    return {key: _mean([row[key] for row in rows]) for key in rows[0] if all(key in row for row in rows)}


def errors(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Standard errors of these means, s / √n with s the unbiased deviation; {} for a single row."""
    if len(rows) < 2:
        return {}
    numbers = [key for key in rows[0] if all(is_number(row.get(key)) for row in rows)]
    return {key: float(np.std([row[key] for row in rows], ddof=1) / math.sqrt(len(rows))) for key in numbers}


def with_errors(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means, each followed by KEY_se; counts, whole numbers that are the same in all rows, have none."""
    found, noise = means(rows), errors(rows)
    flat: dict[str, Any] = {}
    for key, value in found.items():
        flat |= {key: value} | ({f"{key}{ERROR}": noise[key]} if key in noise and isinstance(value, float) else {})
    return flat


def tied(one: float, two: float, error_of_one: float = 0.0, error_of_two: float = 0.0) -> bool:
    """Whether two values cannot be told apart: they are equal, or differ by less than twice the standard error of their
    difference, √(se₁² + se₂²). An error that is not known counts as 0, so that what ties does so whatever it is."""
    return one == two or abs(one - two) < 2 * math.hypot(error_of_one, error_of_two)


def _mean(values: Sequence[Any]) -> Any:
    if all(is_number(value) for value in values):
        return float(np.mean(values)) if len({*values}) > 1 or isinstance(values[0], float) else values[0]
    if isinstance(values[0], list):
        return [_mean([v for v in place if v is not None] or [None]) for place in zip(*values, strict=True)]
    return values[0]


def is_number(value: Any) -> bool:
    """Whether a value is measured: a number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)
