"""Numbers as people give them: of NumPy's types too; counts and seeds whole and within bounds, or refused."""

import operator
from typing import Any

import numpy as np

from experiment_jax.errors import UserError

LARGEST_SEED = 2**32 - 1  # JAX's keys take 32 bits, and would drop the others without a word
LARGEST = 2**31 - 1  # of whole numbers that become arrays of int32
LARGEST_COUNT = 10_000_000  # of samples: a million fills gigabytes already


def whole(value: Any, name: str, least: int, most: int) -> int:
    """A whole number of any integer type.

    Args:
        value: as it was given.
        name: what the message calls it, such as `seed` or `--step`.
        least: the smallest that it may be.
        most: the largest.

    Raises:
        UserError: another type, truth values among them, or another number.
    """
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise UserError(f"{name}={shown(value)}: give a whole number from {least} to {most}") from None
    if not least <= number <= most:
        raise UserError(f"{name}={number}: give a whole number from {least} to {most}")
    return number


def count(value: Any, name: str) -> int:
    """How many there are to be, 1 or more; see `whole` for what it raises."""
    return whole(value, name, 1, LARGEST_COUNT)


def seed(value: Any, name: str = "seed") -> int:
    """The root of random numbers; see `whole` for what it raises."""
    return whole(value, name, 0, LARGEST_SEED)


def plain(value: Any) -> Any:
    """A value with numbers, truth values and text of NumPy's and JAX's types as Python's own; arrays become tuples.

    A float becomes the number that it prints as: np.float32(0.1) is 0.1, as it is where somebody types it, and not the
    0.10000000149011612 that float32 has for it. Other values stay what they are.
    """
    if hasattr(value, "dtype") and hasattr(value, "shape") and not isinstance(value, np.generic):
        value = np.asarray(value)
        value = tuple(value) if value.ndim else value[()]
    if isinstance(value, tuple | list):
        return type(value)(map(plain, value)) if type(value) in (tuple, list) else value
    if isinstance(value, np.floating):
        return float(str(value))
    return value.item() if isinstance(value, np.bool_ | np.integer | np.str_) else value


def shown(value: Any) -> str:
    """A value in a message: its text on one line, cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:59]}…"
