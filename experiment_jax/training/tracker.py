"""Weights & Biases and Trackio, optional packages, which get what a run logs beside its own files.

They keep it on this machine unless WANDB_MODE or TRACKIO_SPACE_ID says otherwise.
"""

import contextlib
import contextvars
import importlib
import logging
import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from experiment_jax.config.types import flat
from experiment_jax.devices import processes
from experiment_jax.errors import UserError
from experiment_jax.files import write_text

logger = logging.getLogger(__name__)
TAG = "tracker.txt"  # in a run's directory: by it a run that goes on stays one run in the tracker


class Tracker:
    """The tracker of one run: of the kind none, wandb or trackio, on the process that writes."""

    def __init__(self, kind: str = "none") -> None:
        """Raises UserError: no such kind, not installed, or nobody is logged in where it is to go online."""
        if kind not in ("none", "wandb", "trackio"):
            raise UserError(f"tracker={kind}: choose one of none, wandb, trackio")
        self._kind, self._package, self._run = kind, None, None
        self._mode, space = os.environ.get("WANDB_MODE", "offline"), os.environ.get("TRACKIO_SPACE_ID")
        if kind != "none" and processes.is_first():
            try:
                self._package = importlib.import_module(kind)
            except ImportError:
                raise UserError(f"tracker={kind}: the package is not installed; type pip install {kind}") from None
            if kind == "wandb" and self._mode == "online" and not self._package.login(prompt=False, verify=False):
                raise UserError("tracker=wandb: nobody is logged in; type wandb login, or unset WANDB_MODE")
            if kind == "trackio" and space and not importlib.import_module("huggingface_hub").get_token():
                raise UserError("tracker=trackio: nobody is logged in; type hf auth login, or unset TRACKIO_SPACE_ID")

    @contextlib.contextmanager
    def begun(self, workdir: Path, config: ConfigDict, group: str) -> Iterator[None]:
        """Holds the run open; raises UserError where the package cannot begin it, as without a network."""
        with contextlib.ExitStack() as held:
            if self._package is not None:
                held.enter_context(contextlib.redirect_stdout(sys.stderr))  # they greet on standard output
                if not (workdir / TAG).is_file():
                    write_text(workdir / TAG, uuid.uuid4().hex[:12])
                tag, name = (workdir / TAG).read_text(), workdir.absolute().name
                own = dict(name=f"{name}-{tag}")
                if self._kind == "wandb":
                    own = dict(name=name, id=tag, dir=workdir, mode=self._mode, reinit="create_new")
                    own["settings"] = self._package.Settings(silent=True, console="off")
                own |= dict(project="lsdm-jax", group=group or None, config=flat(config), resume="allow")
                try:  # in a context of its own: in this one Trackio would finish the run that was begun before
                    self._run = contextvars.Context().run(lambda: self._package.init(**own))
                except Exception as error:
                    raise UserError(f"tracker={self._kind}: {error}; type --config.tracker=none") from error
                held.callback(self._run.finish)
                for stage in config.stages if self._kind == "wandb" else ():  # each begins with step 0
                    self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
            yield

    def log(self, stage: str, step: int, values: Mapping[str, float | np.ndarray]) -> None:
        """Metrics, and pictures uint8 `[height, width, 3]`, of a stage after `step` steps; failing, it ends no run."""
        if self._run is not None:
            try:
                drawn = {key: self._package.Image(value) for key, value in values.items() if np.ndim(value)}
                row = {f"{stage}/{key}": value for key, value in {**values, **drawn, "step": step}.items()}
                self._run.log(row, **({"step": step} if self._kind == "trackio" else {}))
            except Exception as error:
                logger.warning("tracker=%s: gets no more of this run (%s)", self._kind, error)
                self._run = None
