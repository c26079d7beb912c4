"""What an evaluation leaves in `DIR/eval/<step>/`: written by one evaluation at a time, or not at all and said so."""

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from experiment_jax.drawing import pictures
from experiment_jax.errors import Unwritable
from experiment_jax.files import write_text
from experiment_jax.runs import lock
from experiment_jax.runs.run import Run

log = logging.getLogger(__name__)
Write = Callable[[Mapping[str, Any], Mapping[str, np.ndarray]], None]


@contextlib.contextmanager
def keeping(run: Run) -> Iterator[Write]:
    """A function of (metrics, pictures by name) that writes metrics.json and a PNG a picture.

    Other evaluations of the same step wait meanwhile. Where the folder cannot be written a line says so, and nothing
    else happens: the caller has the metrics.
    """
    folder, lost = run.workdir / "eval" / str(run.step), False
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
                pictures.save(folder / f"{name}.png", image)
            write_text(folder / "metrics.json", json.dumps(results, indent=2) + "\n")

        kept(lambda: held.enter_context(lock.hold(folder, wait=True)))
        yield lambda results, drawn: kept(lambda: write(results, drawn))
