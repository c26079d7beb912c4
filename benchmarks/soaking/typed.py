"""Overrides that nobody would type, and some that one would: each is read as it was typed, or refused in one line."""

import ast
import contextlib
import functools
import os
import signal
from collections.abc import Iterator
from typing import Any

import jax

from experiment_jax import UserError, load_config
from experiment_jax.commands.process import LESS_MEMORY
from experiment_jax.config.types import flat
from experiment_jax.devices import failures
from experiment_jax.training.train import prepare
from soaking import Wrong
from soaking.ground import RECIPE, Ground

RECIPES = str(RECIPE), "lsdm_digits:smoke", "lsdm_sr_digits:smoke", "regene_digits:smoke", "judge_digits"
PATIENCE = 60  # seconds after which a refusal counts as hanging
NUMBERS = (
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "0.5",
    "-0.0",
    "1e-9",
    "1e9",
    "1e400",
    "-1e30",
    "nan",
    "inf",
    "-inf",
    "1_0",
    "0x10",
    "１２",
)
HUGE = str(10**400), "1000000007", "1000000000000", "9223372036854775807", "9223372036854775808", str(10**40)
TEXTS = (
    "",
    " ",
    "None",
    "none",
    "True",
    "false",
    "yes",
    "null",
    "'",
    '"a',
    "a b",
    "ä\u200b",
    "\x00",
    "\n",
    "x" * 5000,
    "../..",
    "~",
    "gs://b/c",
)
SHAPES = (
    "()",
    "(1,)",
    "(4, 8)",
    "[4]",
    "(0,)",
    "(-3,)",
    "(1.5,)",
    "('a',)",
    "((1,),)",
    "{}",
    "{'a': 1}",
    "(None,)",
    "1,2",
    "(1",
    "__import__('os')",
)


def trial(ground: Ground, rng: Any, number: int) -> str:
    spec = RECIPES[rng.integers(len(RECIPES))]
    overrides = drawn(spec, rng)
    about = f"{spec} {overrides}"
    with ground.place() as folder, patience(about):
        try:
            config = load_config(spec, overrides)
            check_read(config, overrides)
            with failures.memory("this machine", LESS_MEMORY):
                prepare(config, folder, jax.devices()[:1])
        except UserError as error:
            if "\n" in str(error) or not str(error).strip():
                raise Wrong(f"{about}: {error}") from None
            return "refused"
        except Exception as error:
            error.add_note(about)
            raise
        finally:
            if folder.exists():
                raise Wrong(f"{about}: something was written")
    return "right"


def drawn(spec: str, rng: Any) -> dict[str, str]:
    """One to three settings, and what they are to be."""
    settings = _settings(spec)
    keys = [list(settings)[rng.integers(len(settings))] for _ in range(rng.integers(1, 4))]
    return {_mistyped(key, rng) if rng.random() < 0.05 else key: _value(settings, key, rng) for key in keys}


@functools.cache
def _settings(spec: str) -> dict[str, Any]:
    return flat(load_config(spec))


def _value(settings: dict[str, Any], key: str, rng: Any) -> str:
    """The value that is there, changed; that of another setting; or something else."""
    current = settings[key]
    pools = NUMBERS, HUGE, TEXTS, SHAPES
    choice = rng.integers(8)
    if choice < len(pools):
        return pools[choice][rng.integers(len(pools[choice]))]
    if choice == 4:
        return str(list(settings.values())[rng.integers(len(settings))])
    if isinstance(current, int | float) and not isinstance(current, bool):
        return str(type(current)(current * (0, -1, 0.5, 2, 3)[rng.integers(5)] + rng.integers(-1, 2)))
    return _mistyped(str(current), rng)


def _mistyped(text: str, rng: Any) -> str:
    """A character more, less or other."""
    at, what = int(rng.integers(len(text) + 1)), "a0-.,:_ '"[rng.integers(9)]
    return text[:at] + what * int(rng.integers(2)) + text[at + int(rng.integers(2)) :]


def check_read(config: Any, overrides: dict[str, str]) -> None:
    """Raises Wrong where a setting is not what its text says."""
    settings = flat(config)
    for key, text in overrides.items():
        value = settings.get(key)
        if value is None and key not in settings and ".epochs" not in key and "percent" not in key:
            raise Wrong(f"{key}={text!r} is no setting, and was taken")
        if not _same(value, text):
            raise Wrong(f"{key}={text!r} was read as {value!r}")


def _same(value: Any, text: str) -> bool:
    if value is None:
        return text == "None"
    if isinstance(value, bool):
        return str(value).lower() == text.lower()
    if isinstance(value, int | float):
        return repr(type(value)(text)) == repr(value)
    if isinstance(value, str):  # a path is made absolute
        return value in (text, os.path.abspath(os.path.expanduser(text)))
    return len(value) == len(ast.literal_eval(text))


@contextlib.contextmanager
def patience(about: str) -> Iterator[None]:
    """Raises Wrong inside where it takes too long."""

    def late(number: int, frame: Any) -> None:
        raise Wrong(f"{about}: hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
