"""Checkpoints: the states of a stage in training, `DIR/checkpoints/<stage>/<step>`, written while training goes on.

Orbax writes to a temporary name and renames at the end, so every folder under its final name was complete then, even
after a kill. What was damaged since is found when it is read (`runs.verified`): it is named and stepped over.
"""

import dataclasses
import logging
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from experiment_jax.devices import processes
from experiment_jax.errors import UserError
from experiment_jax.files import check_room, remove, writing
from experiment_jax.runs import saved, verified
from experiment_jax.runs.saved import Origin
from experiment_jax.runs.verified import Damaged

log = logging.getLogger(__name__)
PyTree = Any


@dataclasses.dataclass
class _Kept(checkpoint_managers.PreservationPolicy):
    """The latest few checkpoints, and the best."""

    latest: int
    best: Callable[[Sequence[int]], int | None]

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
        steps = [each.step for each in checkpoints]
        kept = {*steps[-self.latest :], self.best(steps)}
        return [step in kept for step in steps]


class _Manager(ocp.CheckpointManager):
    """Orbax's. The counter by which several processes agree to stop is left to the loop; see `processes.preempted`."""

    def reached_preemption(self, step: int) -> bool:
        return False


class Checkpoints:
    """The states of one stage, saved asynchronously; the latest `keep` are kept, and the best by a named metric."""

    def __init__(self, workdir: Path, its_origin: Origin, keep: int, best: str, like: PyTree) -> None:
        """Looks for the newest state that is whole, and puts damaged ones after it aside, into `DIR/damaged`.

        Args:
            workdir: the run's directory.
            its_origin: of the stage, see `directory.origin`.
            keep: how many of the latest to keep.
            best: name of the metric whose smallest value marks the best state; "-name": the largest; empty: none.
            like: a state, of arrays or abstract arrays.

        Raises:
            UserError: no state is whole, or one is damaged that may have been the best.
        """
        self._metric, self._sign = best.removeprefix("-"), -1 if best.startswith("-") else 1
        self._workdir, self._origin, self._like = Path(workdir), its_origin, like
        self._path = saved.place(workdir, its_origin["stage"])
        self._metrics: dict[int, Mapping[str, float]] = {}  # by step; of validation
        self._newest = self._find()
        self._saving = 0  # the step that is being written
        with writing(self._path):
            self._manager = _Manager(
                self._path,
                options=ocp.CheckpointManagerOptions(
                    preservation_policy=_Kept(keep, self._best),
                    cleanup_tmp_directories=True,
                    async_options=ocp.options.AsyncOptions(
                        post_finalization_callback=self._seal,
                        create_directories_asynchronously=False,  # or its threads wait long for one that is refused
                    ),
                ),
            )

    def _find(self) -> tuple[int, PyTree] | None:
        """Step and state of the newest checkpoint that is whole; None: there is no checkpoint."""
        newest, damaged = None, {}
        for step in reversed(saved.listed(self._path)):
            found, reason = self._try(step)
            if reason and newest and self._metric:
                raise self._refusal(step, f"{reason}; it may have been the best by {self._metric}")
            if reason:
                damaged[step] = reason
            elif newest is None:
                newest = step, found
            if newest and not self._metric:  # without a best one the others are never read
                break
        if damaged and newest is None:
            raise self._refusal(*next(iter(damaged.items())))
        for step, reason in damaged.items():
            self._put_aside(step)
            log.warning("%s is damaged (%s): training goes on from step %d", self._path / str(step), reason, newest[0])
        processes.agree(lambda: None)  # now they are gone for all
        return newest

    def _try(self, step: int) -> tuple[PyTree, str]:
        """A state and why it is damaged, empty where no process finds it so."""
        state, reason = None, ""
        try:
            state, self._metrics[step] = saved.read(self._path / str(step), {**self._origin, "step": step}, self._like)
        except Damaged as error:
            reason = str(error)
        elsewhere = processes.any_of(bool(reason))
        return state, reason or ("another process finds it so" if elsewhere else "")

    def _put_aside(self, step: int) -> None:
        if not processes.is_first():
            return
        place = self._workdir / "damaged" / self._path.name / str(step)
        with writing(place):
            remove(place)
            place.parent.mkdir(parents=True, exist_ok=True)
            (self._path / str(step)).rename(place)

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

        Raises:
            Unwritable: the system refuses this one, or the one before.
        """
        if step in self.steps():
            return
        # A copy: on CPU the host sees the device's own memory, which the next step will overwrite.
        host = jax.tree.map(lambda leaf: np.array(leaf), state)
        self._metrics[step] = {name: float(value) for name, value in metrics.items()}
        record = {**self._origin, "step": step, "metrics": self._metrics[step]}
        with writing(self._path):
            self._manager.wait_until_finished()
            self._saving = step
            check_room(self._path, 2 * sum(leaf.nbytes for leaf in jax.tree.leaves(host)))  # Orbax copies it once
            self._manager.save(step, args=verified.contents(saved.STATE, host, record), force=True)

    def _seal(self) -> None:
        """Called when all files of a checkpoint are written, before its folder is renamed to the step alone."""
        if processes.is_first():
            for folder in self._path.glob(f"{self._saving}.*"):
                verified.seal(folder)

    def restore(self, step: int) -> PyTree:
        """The state after `step` steps, on the host.

        Raises:
            UserError: it is damaged.
        """
        (newest, state), self._newest = self._newest or (None, None), None
        if newest == step:
            return state
        try:
            return saved.read(self._path / str(step), {**self._origin, "step": step}, self._like)[0]
        except Damaged as error:
            raise self._refusal(step, str(error)) from error

    def _refusal(self, step: int, reason: str) -> UserError:
        return UserError(
            f"{self._path / str(step)}: is damaged ({reason}); to train the stage anew, type "
            f"rm -r {shlex.quote(str(self._path))} and the same command again"
        )

    def steps(self) -> list[int]:
        """The steps whose states are complete, ascending."""
        return sorted(self._manager.all_steps())

    def drop_after(self, step: int) -> None:
        """Deletes the states after `step`."""
        with writing(self._path):
            for later in [each for each in self.steps() if each > step]:
                self._manager.delete(later)

    def latest(self) -> int | None:
        """The step of the latest state; None: nothing is saved."""
        return max(self.steps(), default=None)

    def chosen(self, step: int, state: PyTree) -> tuple[PyTree, int]:
        """The state to freeze and its step: the best where a metric names one, else the last, which is given.

        Args:
            step: the last.
            state: after the last step.

        Raises:
            UserError: the best is damaged.
            Unwritable: the system refused the last.
        """
        self.wait()
        best = self._best(self.steps())
        return (state, step) if best in (None, step) else (processes.agree(lambda: self.restore(best)), best)

    def _best(self, steps: Sequence[int]) -> int | None:
        """Of equals the later; None: no metric names one, or there is none."""
        ranked = steps if self._metric else ()
        return min(ranked, key=lambda step: (self._badness(self._metrics.get(step)), -step), default=None)

    def _badness(self, metrics: Mapping[str, float] | None) -> float:
        # A state saved because training was stopped between two checkpoints was not measured: never the best.
        return self._sign * metrics[self._metric] if metrics else math.inf

    def wait(self) -> None:
        """Waits until what was started is written; raises Unwritable where the system refuses it."""
        with writing(self._path):
            self._manager.wait_until_finished()

    def close(self) -> None:
        with writing(self._path):
            self._manager.close()
