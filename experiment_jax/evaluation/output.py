"""What an evaluation leaves in `DIR/eval/<step>/`: written by one evaluation at a time, or not at all and said so."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiment_jax.drawing import pictures
from experiment_jax.errors import Unwritable
from experiment_jax.evaluation import earlier
from experiment_jax.runs import lock
from experiment_jax.runs.run import Run

log = logging.getLogger(__name__)
Write = Callable[[Mapping[str, Any], Mapping[str, np.ndarray]], None]


def folder(run: Run) -> Path:
    """Where the evaluations of a run at its step lie."""
    return run.workdir / "eval" / str(run.step)


@contextlib.contextmanager
def keeping(run: Run) -> Iterator[Write]:
    """A function of (metrics, pictures by name) that writes metrics.json and a PNG a picture.

    Other evaluations of the same step wait meanwhile. Where the folder cannot be written a line says so, and nothing
    else happens: the caller has the metrics.
    """
    place, lost = folder(run), False
    with contextlib.ExitStack() as held:

        def kept(action: Callable[[], None]) -> None:
            nonlocal lost
            try:
                if not lost:
                    action()
            except Unwritable as error:
                lost = True
                log.warning("metrics and pictures are not kept: %s", error)

        def write(results: Mapping[str, Any], drawn: Mapping[str, np.ndarray]) -> None:
            for name, image in drawn.items():
                pictures.save(place / f"{name}.png", image)
            earlier.write(place, results)

        kept(lambda: held.enter_context(lock.hold(place, wait=True)))
        yield lambda results, drawn: kept(lambda: write(results, drawn))
