"""The states of a stage as they lie in a run's directory, `DIR/checkpoints/<stage>/<step>`: listed and read.

Nothing here touches the directory. They are written by `runs.checkpoints`.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiment_jax.errors import UserError
from experiment_jax.runs import verified
from experiment_jax.runs.verified import Damaged

log = logging.getLogger(__name__)
PyTree = Any
Origin = Mapping[str, Any]  # see `directory.origin`
STATE = "state"  # what the arrays are called in a folder
BEFORE_DIGESTS = "default"  # what states were called that have no record


def place(workdir: Path, stage: str) -> Path:
    """Where the states of a stage lie."""
    return (Path(workdir) / "checkpoints" / stage).absolute()


def steps(workdir: Path, stage: str) -> list[int]:
    """The steps of the complete checkpoints, ascending; touches nothing."""
    return listed(place(workdir, stage))


def listed(path: Path) -> list[int]:
    """The steps of the states in a folder, ascending."""
    return sorted(int(each.name) for each in path.glob("*") if each.name.isascii() and each.name.isdigit())


def latest_step(workdir: Path, stage: str) -> int:
    """The step of the latest checkpoint that can be read, 0 where there is none; touches nothing."""
    path = place(workdir, stage)
    return next((step for step in reversed(listed(path)) if _is_state(path / str(step), step)), 0)


def _is_state(path: Path, step: int) -> bool:
    try:
        return (path / BEFORE_DIGESTS).is_dir() or bool(verified.read_record(path, {"step": step}))
    except Damaged:
        return False


def restore(workdir: Path, stage: str, step: int, like: PyTree, expected: Origin | None = None) -> PyTree:
    """The state of one checkpoint, on the host, without touching the directory.

    Args:
        workdir: the run's directory.
        stage: the stage's name.
        step: one of `saved_steps`.
        like: a state, of arrays or abstract arrays.
        expected: see `directory.origin`; None: not looked at.

    Raises:
        UserError: it is damaged, or of another run.
    """
    path = place(workdir, stage)
    try:
        return read(path / str(step), {**(expected or {}), "step": step}, like)[0]
    except Damaged as error:
        others = ", ".join(str(each) for each in listed(path) if each != step) or "none"
        raise UserError(
            f"{path / str(step)}: is damaged ({error}); take another step (there are {others}), or train again"
        ) from error


def read(path: Path, expected: Origin, like: PyTree) -> tuple[PyTree, Mapping[str, float]]:
    """A state on the host, and its validation metrics."""
    if (path / BEFORE_DIGESTS).is_dir() and not (path / STATE).is_dir():
        log.warning("%s was saved before checkpoints had digests: damage would not be found", path)
        metrics = path / "metrics" / "metrics"
        try:
            found = json.loads(metrics.read_text()) if metrics.is_file() else {}
        except ValueError:
            raise Damaged("its metrics cannot be read") from None
        return verified.read(path, BEFORE_DIGESTS, {}, like), found
    record = verified.read_record(path, expected)
    return verified.read(path, STATE, record, like), record["metrics"]
