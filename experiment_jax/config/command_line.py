"""What the two entry scripts share: one-line errors, and `--config.a.b=VALUE`."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from experiment_jax.devices import cache, cpu
from experiment_jax.errors import UserError

OVERRIDE = "--config."


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and which does not guess at abbreviations."""

    def __init__(self, description: str) -> None:
        super().__init__(description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; type {self.prog} --help")


def count(text: str) -> int:
    """A positive whole number, as the `type` of an argument."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Arguments without `--config.key=value` (or `--config.key value`), and those as {key: value}."""
    rest, overrides = [], {}
    queue = list(arguments)
    while queue:
        argument = queue.pop(0)
        if not argument.startswith(OVERRIDE):
            rest.append(argument)
            continue
        key, equals, value = argument.removeprefix(OVERRIDE).partition("=")
        if not equals:
            if not queue:
                raise UserError(f"{argument}: needs a value; type {argument}=VALUE")
            value = queue.pop(0)
        overrides[key] = value
    return rest, overrides


def run(main: Callable[[], int | None]) -> NoReturn:
    """Calls `main` and leaves: status 0, or 2 with one line on standard error for what a person mistyped."""
    # force: importing some libraries has already given the root logger a handler of its own.
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr, force=True)
    logging.getLogger("absl").setLevel(logging.ERROR)  # readers of data sets say which faster ones they miss
    logging.getLogger("experiment_jax").setLevel(logging.INFO)
    cache.keep_compiled_programs()
    cpu.keep_freed_pages()
    try:
        status = main() or 0
    except UserError as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        status = 2
    sys.exit(status)
