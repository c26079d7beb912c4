"""The loop that trains any stage. What happens in a step is in `training.step`.

The host waits for the devices only where a row is logged.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from experiment_jax.config.durations import Schedule
from experiment_jax.devices import processes
from experiment_jax.runs.checkpoints import Checkpoints

PyTree = Any


class Stopped(Exception):
    """Training was asked to stop; the state is saved and the same command resumes it."""


def run(
    steps: Any, schedule: Schedule, logger: Any, checkpoints: Checkpoints, profile: Callable[[int], None]
) -> tuple[PyTree, int]:
    """Trains to the end of the schedule, from the latest checkpoint where there is one.

    Args:
        steps: the compiled steps, `training.step.Steps`.
        schedule: how many there are, and how often rows and checkpoints are written.
        logger: of the stage, `training.logger.Logger`.
        checkpoints: of the stage.
        profile: called before each dispatch with its first step.

    Returns:
        The state to freeze and its step: the best checkpoint's where the section names a metric, else the last.

    Raises:
        UserError: a metric is not finite, or validation refuses what it measures.
        Stopped: SIGINT or SIGTERM arrived; the state is saved.
    """
    done = checkpoints.latest()
    step, stopped = done or 0, False
    with stop_signal() as stop:
        state = steps.start() if done is None else steps.resume(checkpoints.restore(done))
        if done is None:
            own = steps.local(state)
            logger.row(0, {}, own)
            if checkpoints.chooses:  # the state before the first step may be the best
                checkpoints.save(0, own, logger.validation)
        while step < schedule.total and not stopped:
            profile(step)
            state, metrics = steps(state, step)
            step += schedule.dispatch
            logger.advance(step)
            saves = step == schedule.total or step % schedule.checkpoint == 0
            logs = saves or step % schedule.log == 0
            own = steps.local(state) if saves else None
            if logs:
                logger.row(step, steps.local(metrics), own)
            if saves:
                checkpoints.save(step, own, logger.validation)
            # Several processes stop after the same step: they ask each other where they wait for the device anyway.
            if logs or not processes.several():
                stopped = processes.any_of(stop.is_set())
    # After the last step too: whoever asked to stop does not want the next stage.
    if stopped:
        checkpoints.save(step, steps.local(state), {})
        raise Stopped(f"{logger.name} stopped at step {step} of {schedule.total}; the same command goes on from there")
    return checkpoints.chosen(step, steps.local(state))


@contextlib.contextmanager
def stop_signal() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, so that the loop ends between two steps.

    Python handles signals in the main thread only; in another thread they are left as they are.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: event.set()) for number in numbers]
    try:
        yield event
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
