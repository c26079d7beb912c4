"""Durations carry their unit in the key: `steps=100`, `log_epochs=1.0`, `warmup_percent=2.0`."""

import math
from fractions import Fraction

from ml_collections import ConfigDict

from experiment_jax.errors import UserError

LENGTHS = ("steps", "epochs", "examples")
UNITS = (*LENGTHS, "percent")


def keys(name: str, units: tuple[str, ...]) -> list[str]:
    """The keys that may give the duration `name`; the empty name is the length of training."""
    return [f"{name}_{unit}" if name else unit for unit in units]


def replace(section: ConfigDict, key: str) -> None:
    """Clears the other units of the duration that `key` gives, so that setting one unit replaces another."""
    name, _, unit = key.rpartition("_")
    if unit in UNITS:
        for other in keys(name, UNITS):
            if other in section and other != key:
                section[other] = None


def to_steps(
    section: ConfigDict,
    name: str = "",
    *,
    total: int | None = None,
    batch_size: int = 1,
    num_examples: int | None = None,
) -> int:
    """The duration `name` of `section`, rounded up to whole steps.

    Args:
        section: holds exactly one of `name`'s keys.
        name: "log", "checkpoint", "warmup"; empty for the length of training.
        total: the length of training in steps; `percent` is of that.
        batch_size: examples a step.
        num_examples: examples an epoch.

    Raises:
        UserError: none or several units are given, or a number that is negative or not finite.
    """
    options = [key for key in keys(name, UNITS) if key in section]
    given = {key: section[key] for key in options if section[key] is not None}
    if len(given) != 1:
        found = " and ".join(f"{key}={value}" for key, value in given.items()) or "none"
        raise UserError(f"a duration takes exactly one of {', '.join(options)}; given: {found}")
    [(key, value)] = given.items()
    if not 0 <= value < math.inf:
        raise UserError(f"{key}={value}: a duration is finite and not negative; give 0 or more")
    per_unit = {
        "steps": Fraction(1),
        "epochs": Fraction(num_examples or 0, batch_size),
        "examples": Fraction(1, batch_size),
        "percent": Fraction(total or 0, 100),
    }
    # The decimal number that was typed, not the binary one nearest to it: 1.1 · 100 exceeds 110 in floats.
    return math.ceil(Fraction(str(value)) * per_unit[key.rpartition("_")[2]])
