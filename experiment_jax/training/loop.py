"""The loop that trains any stage. What happens in a step is in `training.step`.

The host waits for the devices only where a row is logged, and then for the dispatch before the one under way: devices
have work while it reads. Where a state is saved it waits for that state.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from experiment_jax.config.durations import Schedule
from experiment_jax.devices import processes
from experiment_jax.errors import Stopped

PyTree = Any
SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGUSR1  # Ctrl-C; a job's end or preemption; SLURM's --signal=USR1


def run(
    steps: Any, schedule: Schedule, logger: Any, checkpoints: Any, profile: Callable[[int], None]
) -> tuple[PyTree, int]:
    """Trains to the end of the schedule, from the latest checkpoint where there is one.

    Args:
        steps: the compiled steps, `training.step.Steps`.
        schedule: how many there are, and how often rows and checkpoints are written.
        logger: of the stage, `training.logger.Logger`.
        checkpoints: of the stage, `runs.checkpoints.Checkpoints`.
        profile: called before each dispatch with its first step.

    Returns:
        The state to freeze and its step: the best checkpoint's where the section names a metric, else the last.

    Raises:
        UserError: a metric or the state is not finite, see `training.nonfinite`, or validation refuses what it
            measures.
        Stopped: one of SIGNALS arrived; the state after the dispatch that was under way is saved.
    """
    done = checkpoints.latest()
    step = done or 0
    with stop_signal() as stop:
        state = steps.start() if done is None else steps.resume(checkpoints.restore(done))
        if done is None:
            own = steps.local(state)
            logger.row(0, {}, own)
            if checkpoints.chooses:  # the state before the first step may be the best
                checkpoints.save(0, own, logger.validation)
        stopped, late = stop.now(), None
        while step < schedule.total and not stopped:
            profile(step)
            state, metrics = steps(state, step)
            step += schedule.dispatch
            logger.advance(step)
            _write(logger, steps, late)
            late = None
            saves = step == schedule.total or step % schedule.checkpoint == 0
            logs = saves or step % schedule.log == 0
            if saves:
                own = steps.local(state)
                logger.row(step, steps.local(metrics), own)
                checkpoints.save(step, own, logger.validation)
            elif logs:
                late = step, metrics
            stopped = stop.now()
        _write(logger, steps, late)
        if stopped:
            own = steps.local(state)
            logger.check(step, own)
            checkpoints.save(step, own, {})
        checkpoints.wait()  # while a further signal still does not end the process
    # After the last step too: whoever asked to stop does not want the next stage.
    if stopped or stop.number:
        raise Stopped(f"{logger.name} stopped at step {step} of {schedule.total}", stop.number or signal.SIGTERM)
    return checkpoints.chosen(step, steps.local(state))


def _write(logger: Any, steps: Any, late: tuple[int, Any] | None) -> None:
    """Writes the row of an earlier dispatch, where one waits: its step and its metrics, still on the devices."""
    if late is not None:
        logger.row(late[0], steps.local(late[1]))


class Stop:
    """Whether training is to stop.

    Attributes:
        number: of the first signal that asked this process to; None: none did, or it is one of several processes.
    """

    number: int | None = None

    def now(self) -> bool:
        """Whether to stop before the next dispatch; several processes call this equally often and get one answer."""
        return processes.preempted() if processes.several() else self.number is not None

    def ask(self, number: int, frame: Any) -> None:
        """Handles a signal."""
        if processes.several():
            signal.raise_signal(signal.SIGTERM)  # which JAX handles, and tells the other processes
        else:
            self.number = self.number or number


@contextlib.contextmanager
def stop_signal() -> Iterator[Stop]:
    """What SIGNALS ask for, so that the loop ends between two dispatches and not anywhere.

    Python handles signals in the main thread only; in another thread they are left as they are.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    numbers = [number for number in SIGNALS if not (number == signal.SIGTERM and processes.several())]
    before = [signal.signal(number, stop.ask) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
