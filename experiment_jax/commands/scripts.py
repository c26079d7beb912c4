"""`train.py` and `eval.py` as functions, which the installed commands `lsdm-train` and `lsdm-eval` call.

What was typed is read first, by files that import nothing large, so that help and most refusals take a moment. Then
the file that acts on it is imported, and with it JAX.
"""

import importlib
from typing import Any, NoReturn

from experiment_jax.commands import command_line, evaluate_flags, train_flags


def train() -> NoReturn:
    """The command of `commands.train`."""
    command_line.run(lambda: _act("experiment_jax.commands.train", train_flags.read()))


def evaluate() -> NoReturn:
    """The command of `commands.evaluate`."""
    command_line.run(lambda: _act("experiment_jax.commands.evaluate", evaluate_flags.read()))


def _act(module: str, typed: Any) -> int | None:
    return importlib.import_module(module).main(typed)
