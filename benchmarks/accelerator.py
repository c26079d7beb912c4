"""Everything that matters on an accelerator, measured in minutes: python benchmarks/accelerator.py --out DIR

Parts, in this order: (a) the same numbers as on CPU; (b) training steps beside PyTorch; (g) CIFAR's recipe, trained and
evaluated; (c) transport beside geomloss; (d) convex combinations; (e) drawing in one step beside many; (f) seeds in one
program. Each writes DIR/<letter>.json as it goes, so that a command that is cut off keeps what it has, and DIR/table.md
has them all. A part that does not fit into the minutes left is skipped, one that fails is recorded, and the others go
on; the status is 1 where one failed. --tiny rehearses everything at the sizes of a test, on CPU too.
"""

import argparse
import importlib
import math
import os
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from parts import PARTS, Part  # of this folder

from experiment_jax.commands import command_line
from experiment_jax.errors import Stopped, Unwritable, UserError

LETTERS = tuple(part.letter for part in PARTS)
PACKAGES = ("jaxlib", "flax", "ott-jax", "torch", "geomloss")  # `machine` says those of jax and numpy


def minutes(text: str) -> float:
    """A positive number, as the `type` of an argument."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def letters(text: str) -> tuple[str, ...]:
    """Letters of parts with commas between, as the `type` of an argument."""
    named = tuple(text.split(","))
    for letter in named:
        if letter not in LETTERS:
            raise argparse.ArgumentTypeError(f"there is no part {letter!r}; choose of {','.join(LETTERS)}")
    return named


def read() -> argparse.Namespace:
    """The command line; `parts` are those that were chosen. Raises UserError for what was mistyped."""
    parser = command_line.Parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder of the results")
    parser.add_argument("--minutes", type=minutes, default=8.0, help="of the whole command (default: 8)")
    parser.add_argument("--only", type=letters, default=LETTERS, metavar="a,b", help="these parts alone")
    parser.add_argument("--skip", type=letters, default=(), metavar="b,g", help="all parts but these")
    parser.add_argument("--tiny", action="store_true", help="sizes of a test, to rehearse: nothing to report")
    flags = parser.parse_args()
    flags.parts = [part for part in PARTS if part.letter in flags.only and part.letter not in flags.skip]
    if not flags.parts:
        raise UserError("--only and --skip: no part is left; choose other letters")
    return flags


def measure(flags: argparse.Namespace) -> int:
    """Runs the parts one after another, prints the table; 1 where one has failed."""
    import jax
    from parts.report import Report, Setting

    from experiment_jax.devices import failures

    failures.check_found()
    setting = Setting(flags.out, flags.tiny, jax.devices()[0])
    if not (setting.accelerated or flags.tiny):
        raise UserError(f"no accelerator here, JAX sees {setting.device.platform}; type --tiny to rehearse on it")
    begun, reports, shares = time.monotonic(), [], 0.0
    for part in flags.parts:
        shares += part.share / sum(each.share for each in flags.parts)
        left, due = (begun + 60 * flags.minutes * share - time.monotonic() for share in (1.0, shares))
        reports.append(report := Report(part, setting, min(left, max(due, part.least))))
        if left < part.least:
            report.end("skipped", f"it takes {part.least:.0f} s, and {max(left, 0):.0f} s are left")
        else:
            run(part, setting, report)
        write(flags, setting, reports)
    print((flags.out / "table.md").read_text())
    return int(any(report.status == "failed" for report in reports))


def run(part: Part, setting, report) -> None:
    """Runs one part; what it raises is recorded in its report."""
    print(f"({part.letter}) {part.title} …", flush=True)
    try:
        importlib.import_module(f"parts.{part.file}").run(setting, report)
    except (Stopped, Unwritable):
        raise
    except Exception as error:
        from parts.sides import reason

        report.end("failed", reason(error))
    else:
        report.end("failed" if report.faults else "done", "; ".join(report.faults))


def write(flags: argparse.Namespace, setting, reports: Sequence) -> None:
    """DIR/table.md, of the parts so far."""
    from machine import machine

    from experiment_jax.files import write_text

    versions = ", ".join(f"{name} {version}" for name in PACKAGES if (version := _version(name)))
    rehearsed = "A rehearsal at the sizes of a test: no figure to report.\n\n" if flags.tiny else ""
    head = f"# {setting.device.device_kind}\n\n{rehearsed}{machine()}; {versions}; at most {flags.minutes:g} minutes."
    write_text(flags.out / "table.md", "\n\n".join([head, *(report.markdown() for report in reports)]) + "\n")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def main() -> int:
    flags = read()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch and the tests use the same card
    if flags.tiny:  # programs that run a few times need no optimisation; on CPU it takes a minute a stage
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0".strip()
    from experiment_jax.commands.process import prepared

    with prepared():
        return measure(flags)


if __name__ == "__main__":
    command_line.run(main)
