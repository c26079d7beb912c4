"""What the two commands share: a parser of flags, and one-line errors."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from experiment_jax.config import numbers
from experiment_jax.errors import Stopped, UserError


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line and accepts no abbreviated flags."""

    def __init__(self, description: str) -> None:
        super().__init__(description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; type {self.prog} --help")


def count(text: str) -> int:
    """A positive whole number, as the `type` of an argument."""
    number = int(text)
    if not 1 <= number <= numbers.LARGEST_COUNT:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of at most {numbers.LARGEST_COUNT}")
    return number


def spelled(name: str) -> str:
    """How somebody who typed this command types `name`: as a script, or as an installed command."""
    return f"python {name}.py" if os.path.basename(sys.argv[0]).endswith(".py") else f"lsdm-{name}"


def run(main: Callable[[], int | None]) -> NoReturn:
    """Calls `main` and leaves with status 0; with one line on standard error and 2 for what a person mistyped, or with
    128 + the number of the signal that ended it."""
    name = os.path.basename(sys.argv[0])
    try:
        status = main() or 0
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        status = 2
    except Stopped as stopped:
        print(f"{name}: {stopped}; type the same command again", file=sys.stderr)
        status = stopped.status
    except KeyboardInterrupt:
        print(f"{name}: interrupted; type the same command again", file=sys.stderr)
        status = 128 + signal.SIGINT
    sys.exit(status)
