"""What one stage of a run leaves to look at while it trains: rows of metrics, pictures, a progress bar."""

import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from experiment_jax.devices import processes
from experiment_jax.drawing import pictures
from experiment_jax.errors import UserError
from experiment_jax.files import Lines, write_text
from experiment_jax.training import nonfinite
from experiment_jax.training.board import Board
from experiment_jax.training.tracker import Tracker

log = logging.getLogger(__name__)
PyTree = Any
CONVERGED = 0.99  # the share of converged transport plans below which a stage warns
Validate = Callable[[PyTree], tuple[dict[str, float], Mapping[str, np.ndarray]]]


class Logger:
    """Writes rows to `DIR/metrics.jsonl` and TensorBoard, pictures to `DIR/pictures/<stage>`; shows the progress.

    Of several processes only the first writes; the others look for metrics that are not finite.

    Attributes:
        name: the stage's name.
        validation: the validation metrics of the last row that had any.
    """

    def __init__(
        self,
        name: str,
        workdir: Path,
        total: int,
        done: int | None,
        validate: Validate,
        *,
        bar: bool = True,
        tracker: Tracker | None = None,
    ) -> None:
        """Cuts the stage's rows past `done`; raises Unwritable where the system refuses to write.

        Args:
            name: the stage's name.
            workdir: the run's directory.
            total: steps in all.
            done: the step that is restored; None: a fresh start.
            validate: state -> validation metrics and pictures.
            bar: whether to show the progress.
            tracker: gets rows and pictures too.
        """
        self.name, self.validation, self._warned = name, {}, not processes.is_first()
        self._skipped = None  # how many batches were, in all; None: the stage skips none
        self._workdir, self._validate, self._writes = Path(workdir), validate, processes.is_first()
        self._tracker = tracker or Tracker()
        hidden = not (bar and self._writes)
        self._bar = tqdm(
            total=total, initial=done or 0, desc=name, unit="step", mininterval=1.0, dynamic_ncols=True, disable=hidden
        )
        if self._writes:
            kept = -1 if done is None else done
            rows = [row for row in read_metrics(workdir) if row["stage"] != name or row["step"] <= kept]
            write_text(_path(workdir), "".join(json.dumps(row) + "\n" for row in rows))
            with contextlib.ExitStack() as opened:
                self._file = opened.enter_context(closing(Lines(_path(workdir))))
                self._board = Board(self._workdir / "tensorboard" / name, kept + 1)
                opened.pop_all()  # both are there

    def advance(self, step: int) -> None:
        """Moves the progress bar."""
        self._bar.update(step - self._bar.n)

    def row(self, step: int, metrics: Mapping[str, jax.Array], state: PyTree | None = None) -> None:
        """One row: the metrics after `step` steps; with a state, its validation metrics and pictures too.

        Raises:
            UserError: a metric or the state is not finite.
            Unwritable: the system refuses to write.
        """
        row = {name: float(value) for name, value in jax.device_get(dict(metrics)).items()}
        row = self._without_skipped(step, row)
        self._check_finite(step, row)
        self._check_converged(step, row)
        drawn: Mapping[str, np.ndarray] = {}
        if state is not None:
            self.check(step, state)
            measured, drawn = self._validate(state)
            self.validation = processes.of_first(measured)
            row |= {f"validation_{name}": value for name, value in self.validation.items()}
            self._check_finite(step, row)
            for title, picture in drawn.items() if self._writes else ():
                pictures.save(self._workdir / "pictures" / self.name / f"{step:07d}_{title}.png", picture)
                self._board.add_image(title, picture, step)
        if self._writes:
            self._write(step, row)
            self._tracker.log(self.name, step, {**row, **drawn})

    def check(self, step: int, state: PyTree) -> None:
        """Raises UserError where the state after `step` steps is not finite; before it is measured, or saved."""
        self._check_finite(step, nonfinite.values(state))

    def _check_finite(self, step: int, row: Mapping[str, float]) -> None:
        for name, value in sorted(row.items(), key=lambda item: item[0] != "loss"):  # which says more than norms
            if not np.isfinite(value):
                before, skip = "", f", or go on from the last checkpoint with --config.{self.name}.on_nonfinite=skip"
                if name.startswith("validation_"):
                    skip = ""
                elif self._skipped is not None:
                    before, skip = nonfinite.ENOUGH, ""
                raise UserError(
                    f"{self.name}: {name} is {value} at step {step}{before}; lower the learning rate, for example "
                    f"--config.{self.name}.optimiser.learning_rate=1e-4, in another --workdir{skip}"
                )

    def _without_skipped(self, step: int, row: dict[str, float]) -> dict[str, float]:
        """The row; of batches that were all skipped only that is left. Warns of those since the row before."""
        if nonfinite.TOTAL not in row:
            return row
        total, before = int(row.pop(nonfinite.TOTAL)), self._skipped or 0
        if total > before and self._writes:
            log.warning(f"{self.name}: {total - before} batches up to step {step} were not finite and were skipped")
        self._skipped = total
        return row if row["skipped"] < 1 else {"skipped": 1.0}

    def _check_converged(self, step: int, row: Mapping[str, float]) -> None:
        """Warns once where the stage is trained on transport plans that have not converged."""
        share = min((value for name, value in row.items() if name.split("_")[-1] == "converged"), default=1.0)
        if share < CONVERGED and not self._warned:
            self._warned = True
            log.warning(
                f"{self.name}: at step {step} only {share:.0%} of the transport plans had converged; "
                f"raise the matcher's epsilon or max_iterations"
            )

    def _write(self, step: int, row: Mapping[str, float]) -> None:
        self._file.write(json.dumps({"stage": self.name, "step": step, **row}))
        for name, value in row.items():
            self._board.add_scalar(name, value, step)
        if "loss" in row:
            self._bar.set_postfix({"loss": f"{row['loss']:.4g}"}, refresh=False)

    def close(self) -> None:
        self._bar.close()
        if self._writes:
            self._file.close()
            self._board.close()


def read_metrics(workdir: Path) -> list[dict[str, Any]]:
    """All complete rows of metrics.jsonl; a last line that a kill cut short is left out."""
    if not _path(workdir).is_file():
        return []
    rows = []
    for line in _path(workdir).read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def _path(workdir: Path) -> Path:
    return Path(workdir) / "metrics.jsonl"
