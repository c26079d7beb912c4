"""The one loop, which trains any stage, of one run or of several together.

The host waits for the device only where a row is logged.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from experiment_jax.devices import placement as parallel
from experiment_jax.devices import processes
from experiment_jax.errors import UserError
from experiment_jax.method.stage import PyTree, Upstream
from experiment_jax.method.task import Job, plan
from experiment_jax.runs.checkpoints import Checkpoints
from experiment_jax.training import pmap as pmapped
from experiment_jax.training import step as programs
from experiment_jax.training.logger import Recorder, Stopped, asked_to_stop, profiler
from experiment_jax.training.step import Program

Watch = Callable[[PyTree, Upstream], tuple[dict[str, float], Mapping[str, np.ndarray]]]


class Desk(NamedTuple):
    """Where one member of a training leaves what it leaves behind.

    Attributes:
        workdir: the run's directory.
        watch: state -> validation metrics and pictures, called at the start and at every checkpoint.
    """

    workdir: Path
    watch: Callable[[PyTree], tuple[dict[str, float], Mapping[str, np.ndarray]]]


def desk(workdir: Path, watch: Watch, upstream: Upstream) -> Desk:
    """The desk of a run whose stages before this one are `upstream`."""
    return Desk(workdir, lambda state: watch(state, upstream))


def train(job: Job, upstream: Upstream, workdir: Path, watch: Watch) -> tuple[PyTree, int]:
    """Trains one stage to the end of its plan, from its latest checkpoint where there is one.

    A stage of no steps is only made: its view is not put on the device, nothing is watched, no row and no checkpoint
    is written.

    Args:
        job: the stage.
        upstream: the frozen stages before it.
        workdir: the run's directory.
        watch: (state, upstream) -> validation metrics and pictures, called at the start and at every checkpoint.

    Returns:
        The state to freeze, and its step: the best checkpoint's where `section.best` names a metric, else the last.

    Raises:
        UserError: the loss is not finite.
        Stopped: SIGINT or SIGTERM arrived; the state is saved.
    """
    program = (programs if job.axis_name is None else pmapped).single(job, upstream)
    if not plan(job.section, len(job.view)).total:
        return program.split(program.initial())[0], 0
    [outcome] = train_all(program, [desk(workdir, watch, upstream)])
    if isinstance(outcome, UserError):
        raise outcome
    return outcome


def train_all(program: Program, desks: Sequence[Desk]) -> list[tuple[PyTree, int] | UserError]:
    """Trains the members of a program, each of which leaves behind what it would by itself; see `train`.

    Returns:
        Of each member what `train` returns, or what it would have raised; the others go on.

    Raises:
        Stopped: SIGINT or SIGTERM arrived; the states are saved.
    """
    first = program.jobs[0]
    schedule = plan(first.section, len(first.view))
    with contextlib.ExitStack() as stack:
        keeping = first.section.keep, first.section.best
        kept = [stack.enter_context(closing(Checkpoints(desk.workdir, first.name, *keeping))) for desk in desks]
        done = _common_step(kept)
        state = program.initial() if done is None else program.join([each.restore(done, program.like) for each in kept])
        members = stack.enter_context(closing(Members(program, desks, kept, done)))
        stop = stack.enter_context(asked_to_stop())
        profile = stack.enter_context(profiler(first.name, desks[0].workdir, first.section))
        step, halted = done or 0, False
        if done is None:
            members.row(0, {}, state)
        while step < schedule.total and members.left and not halted:
            profile(step)
            state, metrics = program.advance(state, step)
            step += schedule.dispatch
            members.advance(step)
            if step == schedule.total or step % schedule.checkpoint == 0:
                members.row(step, metrics, state)
                members.save(step, state)
            elif step % schedule.log == 0:
                members.row(step, metrics)
            # Several processes stop after the same step: they ask each other where they wait for the device anyway.
            if not processes.several() or step == schedule.total or step % schedule.log == 0:
                halted = processes.any_of(stop.is_set())
        # After the last step too: whoever asked to stop does not want the next stage.
        if halted and members.left:
            members.save(step, state, measured=False)
            raise Stopped(
                f"{first.name} stopped at step {step} of {schedule.total}; the same command goes on from there"
            )
        return members.outcomes(step, state)


def _common_step(kept: Sequence[Checkpoints]) -> int | None:
    """The latest step that every member has a checkpoint of; later ones, of members that were saved first, go."""
    done = max(set.intersection(*(set(each.steps()) for each in kept)), default=None)
    for each in kept:
        each.drop_after(-1 if done is None else done)
    return done


class Members:
    """The recorders of a program's members; one that fails drops out, and the others go on."""

    def __init__(self, program: Program, desks: Sequence[Desk], kept: Sequence[Checkpoints], done: int | None) -> None:
        """
        Args:
            program: whose states and metrics are recorded.
            desks: of the members.
            kept: their checkpoints.
            done: the step that was restored; None: a fresh start.
        """
        job = program.jobs[0]
        total = plan(job.section, len(job.view)).total
        self._program, self._kept = program, kept
        self._failed: dict[int, UserError] = {}
        self._recorders = [
            Recorder(job.name, desk.workdir, total, done, checkpoints, desk.watch, bar=desk is desks[0])
            for desk, checkpoints in zip(desks, kept, strict=True)
        ]

    @property
    def left(self) -> int:
        """How many have not failed."""
        return len(self._recorders) - len(self._failed)

    def advance(self, step: int) -> None:
        """Moves the progress bar."""
        self._recorders[0].advance(step)

    def row(self, step: int, metrics: Mapping[str, jax.Array], state: PyTree | None = None) -> None:
        """A row of each member; with a state, validation metrics and pictures too. One that is not finite is a
        failure."""
        states = [None] * len(self._recorders) if state is None else self._program.split(state)
        for number, (own, row) in enumerate(zip(states, self._program.split(jax.device_get(metrics)), strict=True)):
            if number in self._failed:
                continue
            try:
                self._recorders[number].row(step, row, own)
            except UserError as error:
                self._failed[number] = error

    def save(self, step: int, state: PyTree, *, measured: bool = True) -> None:
        """Starts to write a checkpoint of each member, where there is none of that step."""
        for number, own in enumerate(self._program.split(state)):
            if number not in self._failed and step not in self._kept[number].steps():
                self._recorders[number].save(step, own, measured=measured)

    def outcomes(self, step: int, state: PyTree) -> list[tuple[PyTree, int] | UserError]:
        """Of each member the state to freeze and its step, or why it failed."""

        def outcome(number: int, own: PyTree) -> tuple[PyTree, int] | UserError:
            if number in self._failed:
                return self._failed[number]
            chosen = self._kept[number].chosen()
            last = chosen in (None, step)
            if last:
                return own, step
            return parallel.local(self._kept[number].restore(chosen, self._program.like)), chosen

        return [outcome(number, own) for number, own in enumerate(self._program.split(state))]

    def close(self) -> None:
        for recorder in self._recorders:
            recorder.close()
