"""Checkpoints: the states of a stage in training, and what a finished stage freezes.

`DIR/checkpoints/<stage>/<step>` are states, written by Orbax while training goes on; `DIR/finished/<stage>` holds the
frozen parameters and statistics that later stages and evaluation use, and a record of their origin. Orbax writes to a
temporary name and renames at the end, so every folder under its final name is complete, even after a kill.
"""

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from experiment_jax.data.lazy_images import CHUNK, Images, slices

PyTree = Any


class _Manager(ocp.CheckpointManager):
    """Orbax's. The counter by which several processes agree to stop is left to the loop; see `processes.preempted`."""

    def reached_preemption(self, step: int) -> bool:
        return False


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
        self._manager = _Manager(
            _states_path(workdir, stage),
            options=ocp.CheckpointManagerOptions(
                **ranking,
                preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
                cleanup_tmp_directories=True,
            ),
        )

    @property
    def chooses(self) -> bool:
        """Whether a metric names the best state."""
        return bool(self._metric)

    def save(self, step: int, state: PyTree, metrics: Mapping[str, float]) -> None:
        """Starts to write the state after `step` steps, where there is none; returns once the arrays may be changed.

        Args:
            step: how many steps were done.
            state: after them.
            metrics: of validation; {} where the state was not measured.
        """
        if step in self.steps():
            return
        # A copy: on CPU the host sees the device's own memory, which the next step will overwrite.
        host = jax.tree.map(lambda leaf: np.array(leaf), state)
        self._manager.save(step, args=ocp.args.StandardSave(host), metrics=dict(metrics), force=True)

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

    def latest(self) -> int | None:
        """The step of the latest state; None: nothing is saved."""
        return max(self.steps(), default=None)

    def chosen(self, step: int, state: PyTree, like: PyTree) -> tuple[PyTree, int]:
        """The state to freeze and its step: the best where a metric names one, else the last, which is given.

        Args:
            step: the last.
            state: after the last step.
            like: see `restore`.
        """
        self.wait()
        best = step
        if self._metric and self.steps():
            best = min(self.steps(), key=lambda each: (self._badness(self._manager.metrics(each)), -each))
        return (state, step) if best == step else (jax.tree.map(np.asarray, self.restore(best, like)), best)

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


def save_finished(workdir: Path, stage: str, frozen: Any, record: dict[str, Any]) -> None:
    """Writes a finished stage, at once or not at all; replaces an earlier one.

    Args:
        workdir: the run's directory.
        stage: the stage's name.
        frozen: the stage's `Frozen`.
        record: where it comes from; its digest is added.
    """
    items = {"record": ocp.args.JsonSave({**record, "digest": digest(frozen)})}
    if jax.tree.leaves(_fields(frozen)):  # Orbax writes no empty tree
        items["frozen"] = ocp.args.StandardSave(jax.tree.map(np.asarray, _fields(frozen)))
    with _finished_checkpointer() as checkpointer:
        checkpointer.save(_finished_path(workdir, stage), args=ocp.args.Composite(**items), force=True)


def load_finished(workdir: Path, stage: str, kind: type) -> tuple[Any, dict[str, Any]] | None:
    """What a stage froze, as its `Frozen`, `kind` (arrays on the host), and its record; None: it is not finished."""
    path = _finished_path(workdir, stage)
    if not path.is_dir():
        return None
    items = {"record": ocp.args.JsonRestore()}
    if (path / "frozen").is_dir():
        items["frozen"] = ocp.args.StandardRestore()
    with _finished_checkpointer() as checkpointer:
        restored = checkpointer.restore(path, args=ocp.args.Composite(**items))
    return kind(**(restored.frozen if "frozen" in items else {})), restored.record


def finished_record(workdir: Path, stage: str) -> dict[str, Any] | None:
    """The record of a finished stage alone; None where the stage is not finished."""
    path = _finished_path(workdir, stage)
    if not path.is_dir():
        return None
    with _finished_checkpointer() as checkpointer:
        return checkpointer.restore(path, args=ocp.args.Composite(record=ocp.args.JsonRestore())).record


def _fields(frozen: Any) -> PyTree:
    """A stage's `Frozen` as a dictionary of its fields, without those that are None."""
    if not dataclasses.is_dataclass(frozen):
        return frozen
    named = {field.name: getattr(frozen, field.name) for field in dataclasses.fields(frozen)}
    return {name: value for name, value in named.items() if value is not None}


def digest(tree: PyTree) -> str:
    """Twelve hexadecimal digits that identify the names, shapes, types and values of a pytree or a `Frozen`."""
    tree = _fields(tree)
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
