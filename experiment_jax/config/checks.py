"""Checks of the settings that a stage's factory reads, in the words of the person who types them.

A number may be an argument of the compiled program in place of a constant, where members of a sweep that differ in it
train together (`experiment_jax.sweep.together`). Such a number was checked when each member was built by itself; no
check looks at it again, and `is_off` does not call it zero.
"""

import math
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.errors import UserError


def is_argument(value: Any) -> bool:
    """Whether a setting is an argument of the compiled program, with a value that is not known while it is built."""
    return isinstance(value, jax.Array)


def is_off(weight: Any) -> bool:
    """Whether a weight is the number 0, so that its term can be left out of the program."""
    return not is_argument(weight) and weight == 0


def is_infinite(value: Any) -> bool:
    """Whether a setting is infinite; an argument of the program is finite."""
    return not is_argument(value) and math.isinf(value)


def check_positive(section: ConfigDict, stage: str, **examples: float) -> None:
    """Raises UserError unless each of the named settings is a positive number; the values are examples to type."""
    for name, example in examples.items():
        value = section[name]
        if not is_argument(value) and not value > 0:
            _refuse(stage, name, value, f"give a positive number, as in --config.{stage}.{name}={example}")


def check_at_least(section: ConfigDict, stage: str, least: float, **examples: float) -> None:
    """Raises UserError unless each of the named settings is `least` or more; the values are examples to type."""
    for name, example in examples.items():
        value = section[name]
        if not is_argument(value) and not value >= least:
            _refuse(stage, name, value, f"give {least} or more, as in --config.{stage}.{name}={example}")


def check_below(section: ConfigDict, stage: str, name: str, bound: float, example: float) -> None:
    """Raises UserError unless the setting is less than `bound`, a number or another setting; `example` is to type."""
    value = section[name]
    if not is_argument(value) and not is_argument(bound) and not value < bound:
        _refuse(stage, name, value, f"give less than {bound}, as in --config.{stage}.{name}={example}")


def check_widths(widths: tuple[int, ...], stage: str) -> None:
    """Raises UserError unless there is a width, and each is positive."""
    if not widths or min(widths) < 1:
        example = str(tuple(width for width in widths if width > 0) or (32,)).replace(" ", "")
        _refuse(stage, "widths", widths, f"give positive numbers of channels, as in --config.{stage}.widths={example}")


def check_choice(section: ConfigDict, stage: str, name: str, known: Iterable[str]) -> None:
    """Raises UserError unless the setting is one of `known`."""
    if section[name] not in (known := tuple(known)):
        _refuse(stage, name, section[name], f"choose one of {', '.join(known)}")


def compute_type(section: ConfigDict, stage: str) -> Any:
    """What a stage's convolutions and products of matrices compute in, as Flax's `dtype`; None: as its parameters.

    Parameters, their gradients and averages, the statistics of norms, and losses are float32 either way. An older run's
    section has no `compute`, which means None as well.

    Raises:
        UserError: neither None nor one of float32 and bfloat16.
    """
    name = section.get("compute") or "float32"
    if name not in ("float32", "bfloat16"):
        _refuse(stage, "compute", name, "choose one of float32, bfloat16")
    return jnp.bfloat16 if name == "bfloat16" else None


def _refuse(stage: str, name: str, value: Any, advice: str) -> None:
    raise UserError(f"{stage}.{name}={value}: {advice}")
