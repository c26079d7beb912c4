"""What a training leaves behind while it runs: progress, rows, pictures, checkpoints, profiles; and how it stops."""

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from experiment_jax.devices import processes
from experiment_jax.drawing import pictures
from experiment_jax.errors import UserError
from experiment_jax.runs.checkpoints import Checkpoints
from experiment_jax.runs.directory import MetricsWriter

log = logging.getLogger(__name__)
PyTree = Any
CONVERGED = 0.99  # share of a stage's inner problems, below which their solutions are not to be relied on


class Stopped(Exception):
    """Training was asked to stop; the state is saved and the same command resumes it."""


class Recorder:
    """Writes the rows, pictures and checkpoints of one stage and moves its progress bar; of several processes the first
    does, while the others watch for nothing but what is not finite."""

    def __init__(
        self,
        name: str,
        workdir: Path,
        total: int,
        done: int | None,
        checkpoints: Checkpoints,
        watch: Callable[[PyTree], tuple[dict[str, float], Mapping[str, np.ndarray]]],
        *,
        bar: bool = True,
    ) -> None:
        """
        Args:
            name: the stage's name.
            workdir: the run's directory.
            total: steps in all.
            done: the step that was restored; None: a fresh start.
            checkpoints: of this stage.
            watch: state -> validation metrics and pictures.
            bar: whether to show the progress.
        """
        self._name, self._workdir = name, Path(workdir)
        self._checkpoints, self._watch = checkpoints, watch
        self._validation: dict[str, float] = {}
        self._warned = False
        self._writes = processes.is_first()
        self._writer = MetricsWriter(workdir, name, -1 if done is None else done) if self._writes else None
        look = dict(unit="step", mininterval=1.0, dynamic_ncols=True, disable=not (bar and self._writes))
        self._bar = tqdm(total=total, initial=done or 0, desc=name, **look)

    def advance(self, step: int) -> None:
        """Moves the progress bar."""
        self._bar.update(step - self._bar.n)

    def row(self, step: int, metrics: Mapping[str, jax.Array], state: PyTree | None = None) -> None:
        """One row of metrics; with a state, its validation metrics and pictures too.

        The first row whose metric `converged` is below CONVERGED is warned of.

        Raises:
            UserError: a metric is not finite.
        """
        row = {name: float(value) for name, value in jax.device_get(dict(metrics)).items()}
        broken = [name for name, value in row.items() if not np.isfinite(value)]
        if broken:
            raise UserError(
                f"{self._name}: {broken[0]} is {row[broken[0]]} at step {step}; lower the learning rate, for example "
                f"--config.{self._name}.optimiser.learning_rate=1e-4, in another --workdir"
            )
        self._warn(step, row.get("converged", 1.0))
        if state is not None:
            validation, images = self._watch(state)
            self._validation = processes.of_first(validation)
            if not self._writes:
                return
            for title, picture in images.items():
                pictures.save(self._workdir / "pictures" / self._name / f"{step:07d}_{title}.png", picture)
                self._writer.picture(step, title, picture)
            row |= {f"validation_{name}": value for name, value in self._validation.items()}
        if not self._writes:
            return
        self._writer.write(step, row)
        self._bar.set_postfix({name: f"{row[name]:.4g}" for name in ("loss",) if name in row}, refresh=False)

    def _warn(self, step: int, converged: float) -> None:
        """Says once that solutions by which this stage is trained are none."""
        if self._warned or converged >= CONVERGED or not self._writes:
            return
        self._warned = True
        log.warning(
            f"{self._name}: only {converged:.0%} of the transport plans had converged at step {step}, and gradients "
            f"are as far off; raise --config.{self._name}.epsilon or --config.{self._name}.max_iterations"
        )

    def save(self, step: int, state: PyTree, *, measured: bool = True) -> None:
        """Starts to write a checkpoint, with the validation metrics of its row where it was `measured`."""
        self._checkpoints.save(step, state, self._validation if measured else {})

    def close(self) -> None:
        self._bar.close()
        if self._writes:
            self._writer.close()


@contextlib.contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, so that the loop ends between two steps; elsewhere than in the main thread
    signals stay as they are."""
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


@contextlib.contextmanager
def profiler(name: str, workdir: Path, section: ConfigDict) -> Iterator[Callable[[int], None]]:
    """A function of the step that traces the steps `section.profile` = (first, last) to DIR/profile/<stage>."""
    first, last = section.profile if processes.is_first() else (0, 0)
    running = False

    def at(step: int) -> None:
        nonlocal running
        if running and step >= last:
            jax.profiler.stop_trace()
            running = False
        elif not running and first <= step < last:
            jax.profiler.start_trace(str(Path(workdir) / "profile" / name))
            running = True

    try:
        yield at
    finally:
        if running:
            jax.profiler.stop_trace()
