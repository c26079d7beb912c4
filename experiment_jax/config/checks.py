"""Checks of the settings that a stage's factory reads, in the words of the person who types them."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.errors import UserError

LARGEST, DEEPEST = 1_000_000, 100  # sizes of networks and counts in a step; layers, each of which is compiled


def positive(section: ConfigDict, where: str, **examples: Any) -> None:
    """Raises UserError unless each of the named settings is a positive number.

    Args:
        section: of a config.
        where: how the command line calls the section, such as `matching.critic`.
        examples: setting -> a value that one may type.
    """
    for name, example in examples.items():
        if not section[name] > 0:
            _refuse(where, name, section[name], f"give a positive number, as in --config.{where}.{name}={example}")
        _check_size(where, name, section[name])


def at_least(section: ConfigDict, where: str, least: float, **examples: Any) -> None:
    """Raises UserError unless each of the named settings is `least` or more; see `positive`."""
    for name, example in examples.items():
        if not section[name] >= least:
            _refuse(where, name, section[name], f"give {least} or more, as in --config.{where}.{name}={example}")
        _check_size(where, name, section[name])


def below(section: ConfigDict, where: str, name: str, bound: float, example: float) -> None:
    """Raises UserError unless the setting is less than `bound`, a number or another setting; `example` is to type."""
    if not section[name] < bound:
        _refuse(where, name, section[name], f"give less than {bound}, as in --config.{where}.{name}={example}")


def widths(values: tuple[int, ...], where: str) -> None:
    """Raises UserError unless there is a width, and each is positive."""
    if not values or min(values) < 1:
        example = str(tuple(width for width in values if width > 0) or (32,)).replace(" ", "")
        _refuse(where, "widths", values, f"give positive numbers of channels, as in --config.{where}.widths={example}")
    for width in values:
        _check_size(where, "widths", width)


def choice(section: ConfigDict, where: str, name: str, known: Iterable[str]) -> None:
    """Raises UserError unless the setting is one of `known`."""
    if section[name] not in (known := tuple(known)):
        _refuse(where, name, section[name], f"choose one of {', '.join(known)}")


def compute_type(section: ConfigDict, where: str) -> Any:
    """What a stage's convolutions and products of matrices compute in, as Flax's `dtype`; None: as its parameters.

    Parameters, their gradients and averages, the statistics of norms, and losses are float32 either way.

    Raises:
        UserError: neither None nor one of float32 and bfloat16.
    """
    name = section.compute or "float32"
    if name not in ("float32", "bfloat16"):
        _refuse(where, "compute", name, "choose one of float32, bfloat16")
    return jnp.bfloat16 if name == "bfloat16" else None


def bounded(count: int, where: str, name: str, value: Any) -> None:
    """Raises UserError where a count that `value` comes to is larger than any program of that size could be."""
    if count > LARGEST:
        _refuse(where, name, value, f"give {LARGEST} numbers or less")


def _check_size(where: str, name: str, value: Any) -> None:
    """Raises UserError where a whole number is so large that no program of that size could even be compiled."""
    most = DEEPEST if name in ("depth", "blocks") else LARGEST
    if isinstance(value, int) and value > most:
        _refuse(where, name, value, f"give {most} or less")


def _refuse(where: str, name: str, value: Any, advice: str) -> None:
    raise UserError(f"{where}.{name}={value}: {advice}")
