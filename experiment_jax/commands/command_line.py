"""What the two commands share: a parser of flags, and one-line errors."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from experiment_jax.config import numbers
from experiment_jax.devices import cache, cpu
from experiment_jax.errors import UserError


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


def run(main: Callable[[], int | None]) -> NoReturn:
    """Calls `main` and leaves: status 0, or 2 with one line on standard error for what a person mistyped."""
    # force: importing some libraries has already given the root logger a handler of its own.
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr, force=True)
    logging.getLogger("absl").setLevel(logging.ERROR)  # data set readers warn about optional packages
    logging.getLogger("experiment_jax").setLevel(logging.INFO)
    cache.keep_compiled_programs()
    cpu.convolve_on_all_cores()
    cpu.keep_freed_pages()
    try:
        status = main() or 0
    except UserError as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        status = 2
    sys.exit(status)
