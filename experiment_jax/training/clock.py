"""How long the stages of a run trained: `DIR/seconds.json`, by stage.

Seconds of the wall, with compilation, validation, checkpoints and the final pass; of a stage that was stopped and went
on, of all its parts. They stand in no row and no record, so that a resumed run writes the bytes of an undisturbed one.
What a process that was killed had spent is not known.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiment_jax.devices import processes
from experiment_jax.errors import Unwritable
from experiment_jax.files import write_text

FILE = "seconds.json"


@contextlib.contextmanager
def running(workdir: Path, stage: str) -> Iterator[None]:
    """Adds what passes inside to the seconds of a stage, also where it is left by an exception."""
    start = time.perf_counter()
    try:
        yield
    finally:
        add(workdir, stage, time.perf_counter() - start)


def add(workdir: Path, stage: str, seconds: float) -> None:
    """Adds to the seconds of a stage. Of several processes the first writes."""
    if processes.is_first():
        found = read(workdir)
        with contextlib.suppress(Unwritable):  # training says that itself, of what it cannot do without
            write_text(Path(workdir) / FILE, json.dumps({**found, stage: found.get(stage, 0.0) + seconds}) + "\n")


def copy(source: str | Path, workdir: Path, stage: str) -> None:
    """Of a stage that a run takes from another: the seconds that it trained there, where they are known."""
    found = read(source)
    if stage in found and stage not in read(workdir):
        add(workdir, stage, found[stage])


def read(workdir: str | Path) -> dict[str, float]:
    """The seconds by stage; {} where there is no such file, or a damaged one."""
    try:
        found = json.loads((Path(workdir) / FILE).read_text())
        return {stage: float(seconds) for stage, seconds in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def total(workdir: str | Path, stages: Sequence[str]) -> float | None:
    """The seconds of all these stages; None where those of one are not known."""
    found = read(workdir)
    return sum(found[stage] for stage in stages) if all(stage in found for stage in stages) else None
