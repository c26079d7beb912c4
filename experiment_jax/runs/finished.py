"""Finished stages: what later stages and evaluation use, in `DIR/finished/<stage>`, and a record of its origin.

A stage is there whole or not at all, even after a kill or on a full disk; an earlier one stays until the new one is
whole. What was damaged since is refused when it is read (`runs.verified`).
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from experiment_jax.devices import processes
from experiment_jax.errors import UserError
from experiment_jax.files import check_room, remove, writing
from experiment_jax.runs import verified
from experiment_jax.runs.verified import Damaged

Origin = Mapping[str, Any]  # see `directory.origin`
FROZEN = "frozen"  # what its arrays are called in its folder


def save_finished(workdir: Path, stage: str, frozen: Any, record: dict[str, Any]) -> None:
    """Writes a finished stage, at once or not at all; replaces an earlier one.

    Args:
        workdir: the run's directory.
        stage: the stage's name.
        frozen: the stage's `Frozen`.
        record: where it comes from; its digests are added.

    Raises:
        Unwritable: the system refuses it; the earlier one stays.
    """
    path = (Path(workdir) / "finished" / stage).absolute()
    new, old = path.with_name(f"{stage}.new"), path.with_name(f"{stage}.old")
    tree = jax.tree.map(np.asarray, verified.fields(frozen))
    with writing(path):
        check_room(path, 2 * sum(leaf.nbytes for leaf in jax.tree.leaves(tree)))
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            checkpointer.save(new, args=verified.contents(FROZEN, tree, record), force=True)
        if processes.is_first():
            verified.seal(new)
    processes.agree(lambda: _exchange(path, new, old) if processes.is_first() else None)


def _exchange(path: Path, new: Path, old: Path) -> None:
    """Puts a folder in the place of another. A kill between the two renames leaves `old`, which is then read."""
    with writing(path):
        if path.exists():
            remove(old)
            path.rename(old)
        new.rename(path)
        remove(old)


def load_finished(
    workdir: Path, stage: str, kind: type, expected: Origin | None = None
) -> tuple[Any, dict[str, Any]] | None:
    """What a stage froze, as its `Frozen`, `kind` (arrays on the host), and its record; None: it is not finished.

    Args:
        workdir: the run's directory.
        stage: the stage's name.
        kind: the stage's `Frozen`.
        expected: see `directory.origin`; None: not looked at.

    Raises:
        UserError: it is damaged, or of another run.
    """
    record = finished_record(workdir, stage, expected)
    if record is None:
        return None
    path = _finished_path(workdir, stage)
    try:
        return kind(**verified.read(path, FROZEN, record, None)), record
    except Damaged as error:
        raise _damaged_stage(path, error) from error


def finished_record(workdir: Path, stage: str, expected: Origin | None = None) -> dict[str, Any] | None:
    """The record of a finished stage alone; None where the stage is not finished. Otherwise as `load_finished`."""
    path = _finished_path(workdir, stage)
    if not path.exists():
        return None
    try:
        return verified.read_record(path, {**(expected or {}), "stage": stage})
    except Damaged as error:
        raise _damaged_stage(path, error) from error


def _damaged_stage(path: Path, error: Damaged) -> UserError:
    return UserError(
        f"{path}: is damaged ({error}); type rm -r {shlex.quote(str(path))} and train again: "
        f"the stage goes on from its checkpoints, where there are some"
    )


def _finished_path(workdir: Path, stage: str) -> Path:
    """Where the stage lies: under a name beside its own where a kill came between the renames of `save_finished`."""
    path = (Path(workdir) / "finished" / stage).absolute()
    old = path.with_name(f"{stage}.old")
    return old if old.exists() and not path.exists() else path
