"""Traces of a few steps with jax.profiler."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
from ml_collections import ConfigDict

from experiment_jax.devices import processes
from experiment_jax.files import writing


@contextlib.contextmanager
def profiler(name: str, workdir: Path, section: ConfigDict) -> Iterator[Callable[[int], None]]:
    """A function of the step that traces the steps `section.profile` = (first, last) to DIR/profile/<stage>."""
    first, last = section.profile if processes.is_first() else (0, 0)
    running, folder = False, Path(workdir) / "profile" / name

    def at(step: int) -> None:
        nonlocal running
        if running and step >= last:
            jax.profiler.stop_trace()
            running = False
        elif not running and first <= step < last:
            with writing(folder):
                jax.profiler.start_trace(str(folder))
            running = True

    try:
        yield at
    finally:
        if running:
            jax.profiler.stop_trace()
