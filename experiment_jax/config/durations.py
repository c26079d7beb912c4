"""Durations carry their unit in the key: `steps=100`, `log_epochs=1.0`, `warmup_percent=2.0`."""

import dataclasses
import math
from fractions import Fraction

from ml_collections import ConfigDict

from experiment_jax.errors import UserError

LENGTHS = ("steps", "epochs", "examples")
UNITS = (*LENGTHS, "percent")
MOST = 2**31 - 1  # steps are counted in int32


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
    steps = math.ceil(Fraction(str(value)) * per_unit[key.rpartition("_")[2]])
    if steps > MOST:
        raise UserError(f"{key}={value}: these are more than {MOST} steps; give fewer")
    return steps


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A stage's durations in whole steps.

    Attributes:
        total: the length of training.
        log: steps between two rows.
        checkpoint: steps between two checkpoints.
        dispatch: steps in one call of the compiled program; divides the others.
    """

    total: int
    log: int
    checkpoint: int
    dispatch: int


def schedule(section: ConfigDict, num_examples: int) -> Schedule:
    """The schedule of a stage's section; `log` and `checkpoint` are rounded up to whole dispatches.

    Raises:
        UserError: an empty batch, a missing or doubled duration, a length that is not a multiple of
            `steps_per_dispatch`, or a `profile` that is not two steps that begin a dispatch.
    """
    if section.batch_size < 1:
        raise UserError(
            f"batch_size={section.batch_size}: a batch holds at least one example; type batch_size=1 or more"
        )
    sizes = dict(batch_size=section.batch_size, num_examples=num_examples)
    total = to_steps(section, **sizes)
    each = section.steps_per_dispatch
    if each < 1 or total % each:
        raise UserError(f"steps_per_dispatch={each}: must divide the {total} steps; type steps_per_dispatch=1")
    log, checkpoint = (
        max(math.ceil(to_steps(section, name, total=total, **sizes) / each), 1) * each for name in ("log", "checkpoint")
    )
    if len(section.profile) != 2:
        raise UserError(f"profile={section.profile}: give the first step and the one after the last, as in (100,110)")
    if any(step % each for step in section.profile):
        raise UserError(f"profile={section.profile}: give multiples of steps_per_dispatch={each}, as in (0,{each})")
    return Schedule(total, log, checkpoint, each)
