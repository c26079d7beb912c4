"""Kills, damage, full disks, nonsense and many hands, at random: what was saved is found, or it is said what is wrong.

    python benchmarks/soak.py --minutes 10 [--seed S] [--only NAME ...] [--trials N] [--first N]

The kinds of trial take turns, the one that has had the least time next. Each trial has random numbers of its own, made
of the seed, its kind and its number, so `--seed S --only NAME --first N --trials 1` does one again. The commands, the
run and the recipe are those of digits' smoke recipe, smaller yet (`soaking/recipe.py`). Prints what was wrong, and a
table; its last column is the largest number that trials of that kind measured: by how many megabytes the memory grew,
and by how much parameters differed between numbers of devices. The exit status is 1 where anything was wrong.
"""

import argparse
import collections
import contextlib
import io
import logging
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine  # of this folder
from soaking import Wrong, commands, devices, disks, given, hands, kills, memory, restores, typed
from soaking.ground import Ground
from table import head
from tqdm import tqdm

Trial = Callable[[Ground, Any, int], str | tuple[str, float]]
TRIALS: Mapping[str, Trial] = {
    "kill": kills.trial,
    "damage": restores.trial,
    "write": disks.each_write,
    "small_disk": disks.small_disk,
    "hands": hands.trial,
    "devices": devices.trial,
    "memory": memory.trial,
    "override": typed.trial,
    "file": given.trial,
    "command": commands.trial,
}
VERDICTS = "right", "refused", "wrong", "exception"


class Tally:
    """What the trials of one kind found.

    Attributes:
        found: how often each verdict.
        seconds: that they took.
        number: of the next.
        largest: of the numbers that they measured.
    """

    def __init__(self, first: int) -> None:
        self.found, self.seconds, self.number, self.largest = collections.Counter(), 0.0, first, 0.0

    def one(self, name: str, trial: Trial, ground: Ground, seed: int) -> str:
        """One trial; returns what is to be said of it, if anything is wrong."""
        rng = np.random.default_rng([seed, zlib.crc32(name.encode()), self.number])
        begun, said = time.monotonic(), ""
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # which has progress bars
                found = trial(ground, rng, self.number)
            verdict, measured = found if isinstance(found, tuple) else (found, 0.0)
            self.largest = max(self.largest, measured)
        except Wrong as error:
            verdict, said = "wrong", str(error)
        except Exception:
            verdict, said = "exception", traceback.format_exc()
        self.found[verdict] += 1
        self.seconds += time.monotonic() - begun
        again = f"--seed {seed} --only {name} --first {self.number} --trials 1"
        self.number += 1
        return said and f"{again}\n{said}"


def main() -> None:
    flags = _flags()
    logging.getLogger("experiment_jax").setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # as the commands have it
    with tempfile.TemporaryDirectory(prefix="soak-", dir=flags.folder) as folder:
        ground = Ground(Path(folder), flags.steps)
        tallies = {name: Tally(flags.first) for name in flags.only}
        for name in _turns(tallies, flags):
            said = tallies[name].one(name, TRIALS[name], ground, flags.seed)
            if said:
                tqdm.write(said, file=sys.stderr)
    _print(tallies, flags.seed)
    sys.exit(any(tally.found["wrong"] + tally.found["exception"] for tally in tallies.values()))


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=None, choices=list(TRIALS), metavar="NAME", help=", ".join(TRIALS))
    parser.add_argument("--trials", type=int, default=10**9, help="so many of each kind, if there is time")
    parser.add_argument("--first", type=int, default=0, help="the number of the first trial of each kind")
    parser.add_argument("--steps", type=int, default=20_000, help="of the trial `memory`")
    parser.add_argument("--folder", help="where to write; a temporary folder by default")
    flags = parser.parse_args()
    flags.only = flags.only or [name for name in TRIALS if name != "small_disk" or disks.can_mount()]
    return flags


def _turns(tallies: Mapping[str, Tally], flags: argparse.Namespace) -> Any:
    """The names of the trials to do, one after another, until the time is over or all are done."""
    end = time.monotonic() + 60 * flags.minutes
    with tqdm(desc="trials", unit="trial") as bar:
        while time.monotonic() < end:
            left = [name for name, tally in tallies.items() if tally.number < flags.first + flags.trials]
            if not left:
                return
            yield min(left, key=lambda name: tallies[name].seconds)
            bar.update()


def _print(tallies: Mapping[str, Tally], seed: int) -> None:
    print(f"seed {seed}; {machine()}\n")
    head("trial", "tried", *VERDICTS, "seconds", "largest")
    for name, tally in tallies.items():
        counts = (str(tally.found[verdict]) for verdict in VERDICTS)
        largest = f"{tally.largest:.2g}" if tally.largest else ""
        print(f"| {name} | {tally.found.total()} | {' | '.join(counts)} | {tally.seconds:.0f} | {largest} |")


if __name__ == "__main__":
    main()
