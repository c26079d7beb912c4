"""Evaluations that runs keep in `DIR/eval/<step>/`: used again where they are what is asked for."""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from experiment_jax.comparison import sample_row
from experiment_jax.drawing import pictures
from experiment_jax.errors import Unwritable, UserError
from experiment_jax.evaluation import earlier
from experiment_jax.evaluation.plan import Plan
from experiment_jax.extractors import judges
from experiment_jax.extractors.judge import digests
from experiment_jax.runs.finished import finished_record
from experiment_jax.runs.run import load_run
from experiment_jax.training.train import train

log = logging.getLogger(__name__)


def finished_step(workdir: Path, config: ConfigDict) -> int:
    """The step that the last stage of a run ended with.

    Raises:
        UserError: the run is not trained to the end.
    """
    record = finished_record(workdir, config.stages[-1])
    if record is None:
        raise UserError("not trained to the end yet")
    return record["step"]


def measured(
    workdir: Path, config: ConfigDict, plan: Plan, evaluate: Callable[..., Mapping[str, Any]]
) -> tuple[Mapping[str, Any], np.ndarray]:
    """The metrics of a finished run and its row of images, made now where they are not there.

    Args:
        workdir: the run's directory.
        config: the one in it.
        plan: what is measured.
        evaluate: `experiment_jax.evaluate`, which writes the metrics.

    Raises:
        UserError: the run is not finished, or what `evaluate` refuses.
    """
    folder = workdir / "eval" / str(finished_step(workdir, config))
    row = folder / "row.png"
    metrics = next((each for each in earlier.read_all(folder) if fits(each, config, plan)), None)
    if metrics is None or not row.is_file():
        log.info("evaluating %s", workdir)
        run = load_run(workdir)
        metrics = metrics or evaluate(run, **dataclasses.asdict(plan))
        picture = sample_row.of_run(run)
        try:
            pictures.save(row, picture)
        except Unwritable as error:
            log.warning("%s", error)
        return metrics, picture
    return metrics, pictures.read(row)


def fits(metrics: Mapping[str, Any], config: ConfigDict, plan: Plan) -> bool:
    """Whether an evaluation's metrics are those that would be measured now; they may hold more.

    They do where they name the same protocol, options, judge and witnesses, and have LPIPS and `cas` where those
    are asked for; `cas` only if the run heeds labels, and so has `accuracy_gen`.

    Args:
        metrics: of the evaluation; {}: there is none.
        config: of the run.
        plan: what is asked for.
    """
    expected = {"protocol": plan.protocol_of(config), **plan.marks()}
    if any(metrics.get(key) != value for key, value in expected.items()):
        return False
    if plan.with_cas and "cas" not in metrics and "accuracy_gen" in metrics:
        return False
    if plan.with_lpips and "extractor_lpips" not in metrics:
        return False
    by = {key: value for key, value in metrics.items() if key == "judge" or key.startswith("witness_")}
    return by == digests(judges.of_run(config, train, plan.judge))
