"""What is kept on disk: the states of a stage in training, and what a finished stage leaves behind.

`DIR/checkpoints/<stage>/<step>` are states, written by Orbax while training goes on; `DIR/finished/<stage>` holds the
frozen parameters and statistics that later stages and evaluation use, and where they come from. Orbax writes beside
the final name and renames, so what is there is complete, whenever the process was killed.
"""

import hashlib
import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from experiment_jax.data.lazy_images import CHUNK, Images, slices

PyTree = Any


class Checkpoints:
    """The states of one stage, saved asynchronously; the latest `keep` are kept, and the best by a named metric."""

    def __init__(self, workdir: Path, stage: str, keep: int, best: str = "") -> None:
        """
        Args:
            workdir: the run's directory.
            stage: the stage's name.
            keep: how many of the latest to keep.
            best: name of the metric whose smallest value marks the best state; "-name": the largest; empty: none.
        """
        self._metric, self._sign = best.removeprefix("-"), -1 if best.startswith("-") else 1
        policies = [checkpoint_managers.LatestN(keep)]
        if best:
            policies.append(checkpoint_managers.BestN(get_metric_fn=self._badness, reverse=True, n=1))
        # Without best_fn the manager does not store metrics at all.
        ranking = dict(best_fn=self._badness, best_mode="min") if best else {}
        self._manager = ocp.CheckpointManager(
            _states_path(workdir, stage),
            options=ocp.CheckpointManagerOptions(
                **ranking,
                preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
                cleanup_tmp_directories=True,
            ),
        )

    def save(self, step: int, state: PyTree, metrics: dict[str, float]) -> None:
        """Starts to write the state after `step` steps; returns once the arrays may be changed."""
        # A copy: on CPU the host sees the device's own memory, which the next step will overwrite.
        host = jax.tree.map(lambda leaf: np.array(leaf), state)
        self._manager.save(step, args=ocp.args.StandardSave(host), metrics=metrics, force=True)

    def restore(self, step: int, like: PyTree) -> PyTree:
        """The state after `step` steps, with the structure and placement of `like` (arrays or abstract arrays)."""
        return self._manager.restore(step, args=ocp.args.StandardRestore(like))

    def steps(self) -> list[int]:
        """The steps whose states are complete, ascending."""
        return sorted(self._manager.all_steps())

    def drop_after(self, step: int) -> None:
        """Deletes the states after `step`."""
        for later in [each for each in self.steps() if each > step]:
            self._manager.delete(later)

    def chosen(self) -> int | None:
        """The step to freeze: the best where a metric names one, else the latest; None: nothing saved."""
        self.wait()
        if not self._metric:
            return max(self.steps(), default=None)
        return min(self.steps(), key=lambda step: (self._badness(self._manager.metrics(step)), -step), default=None)

    def _badness(self, metrics: dict[str, float] | None) -> float:
        # A state saved because training was stopped between two checkpoints was not measured: never the best.
        return self._sign * metrics[self._metric] if metrics else math.inf

    def wait(self) -> None:
        """Waits until what was started is written."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        self._manager.close()


def restore(workdir: Path, stage: str, step: int, like: PyTree) -> PyTree:
    """The state of one complete checkpoint, without touching the directory."""
    with ocp.CheckpointManager(
        _states_path(workdir, stage), options=ocp.CheckpointManagerOptions(read_only=True)
    ) as manager:
        return manager.restore(step, args=ocp.args.StandardRestore(like))


def saved_steps(workdir: Path, stage: str) -> list[int]:
    """The steps of the complete checkpoints, ascending; touches nothing."""
    return sorted(int(path.name) for path in _states_path(workdir, stage).glob("*") if path.name.isdigit())


def latest_step(workdir: Path, stage: str) -> int:
    """The step of the latest complete checkpoint, 0 where there is none; touches nothing."""
    return max(saved_steps(workdir, stage), default=0)


def save_finished(workdir: Path, stage: str, frozen: PyTree, record: dict[str, Any]) -> None:
    """Writes a finished stage, at once or not at all; replaces an earlier one.

    Args:
        workdir: the run's directory.
        stage: the stage's name.
        frozen: nested dictionaries of arrays.
        record: where it comes from; its digest is added.
    """
    with _finished_checkpointer() as checkpointer:
        checkpointer.save(
            _finished_path(workdir, stage),
            args=ocp.args.Composite(
                frozen=ocp.args.StandardSave(jax.tree.map(np.asarray, frozen)),
                record=ocp.args.JsonSave({**record, "digest": digest(frozen)}),
            ),
            force=True,
        )


def load_finished(workdir: Path, stage: str) -> tuple[PyTree, dict[str, Any]] | None:
    """The frozen stage (arrays on the host) and its record; None where the stage is not finished."""
    path = _finished_path(workdir, stage)
    if not path.is_dir():
        return None
    with _finished_checkpointer() as checkpointer:
        restored = checkpointer.restore(
            path, args=ocp.args.Composite(frozen=ocp.args.StandardRestore(), record=ocp.args.JsonRestore())
        )
    return restored.frozen, restored.record


def finished_record(workdir: Path, stage: str) -> dict[str, Any] | None:
    """The record of a finished stage alone; None where the stage is not finished."""
    path = _finished_path(workdir, stage)
    if not path.is_dir():
        return None
    with _finished_checkpointer() as checkpointer:
        return checkpointer.restore(path, args=ocp.args.Composite(record=ocp.args.JsonRestore())).record


def digest(tree: PyTree) -> str:
    """Twelve hexadecimal digits that identify the names, shapes, types and values of a pytree."""
    sha = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = leaf if isinstance(leaf, Images) else np.asarray(leaf)
        sha.update(f"{jax.tree_util.keystr(path)}{array.shape}{array.dtype}".encode())
        for part in slices(array, CHUNK) if isinstance(array, Images) else (array,):
            sha.update(np.ascontiguousarray(part).tobytes())
    return sha.hexdigest()[:12]


def _states_path(workdir: Path, stage: str) -> Path:
    return (Path(workdir) / "checkpoints" / stage).absolute()


def _finished_path(workdir: Path, stage: str) -> Path:
    return (Path(workdir) / "finished" / stage).absolute()


def _finished_checkpointer() -> ocp.Checkpointer:
    return ocp.Checkpointer(ocp.CompositeCheckpointHandler())
