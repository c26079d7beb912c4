"""Evaluations that runs keep in `DIR/eval/<step>/`: used again where they are what is asked for."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from experiment_jax.drawing import pictures
from experiment_jax.errors import UserError
from experiment_jax.evaluation import protocol as protocols
from experiment_jax.evaluation import sample_row
from experiment_jax.runs import checkpoints
from experiment_jax.runs.run import load_run

log = logging.getLogger(__name__)


def finished_step(workdir: Path, config: ConfigDict) -> int:
    """The step that the last stage of a run ended with.

    Raises:
        UserError: the run is not trained to the end.
    """
    record = checkpoints.finished_record(workdir, config.stages[-1])
    if record is None:
        raise UserError("not trained to the end yet")
    return record["step"]


def measured(
    workdir: Path,
    config: ConfigDict,
    evaluate: Callable[..., Mapping[str, Any]],
    judges: Mapping[str, str],
    *,
    protocol: str | None = None,
    num_samples: int | None = None,
    **options: Any,
) -> tuple[dict[str, Any], np.ndarray]:
    """The metrics of a finished run and its row of images, made now where they are not there.

    Args:
        workdir: the run's directory.
        config: the one in it.
        evaluate: `experiment_jax.evaluate`, which writes them.
        judges: the digests of the judge and witnesses that the run's config names now, see `judge_digests`.
        protocol: see `experiment_jax.evaluate`, as for the rest.
        num_samples: N, in place of the protocol's.
        options: see `fits`.

    Raises:
        UserError: the run is not finished, or what `evaluate` refuses.
    """
    folder = workdir / "eval" / str(finished_step(workdir, config))
    path, row = folder / "metrics.json", folder / "row.png"
    metrics = json.loads(path.read_text()) if path.is_file() else {}
    sound = fits(metrics, protocols.asked(config, protocol, num_samples), judges, **options)
    if not (sound and row.is_file()):
        log.info("evaluating %s", workdir)
        run = load_run(workdir)
        if not sound:
            metrics = evaluate(run, protocol=protocol, num_samples=num_samples, **options)
        pictures.save(row, sample_row.of_run(run))
    return dict(metrics), pictures.read(row)


def fits(
    metrics: Mapping[str, Any],
    protocol: str,
    judges: Mapping[str, str],
    *,
    with_cas: bool = False,
    repeats: int | None = None,
    extractors: Sequence[str] = (),
    **others: Any,
) -> bool:
    """Whether the metrics of an evaluation hold all that would be measured now; they may hold more.

    Args:
        metrics: of the evaluation; {}: there is none.
        protocol: by which it should be, as metrics name it: the split, and how many samples.
        judges: the digests under `judge` and `witness_<title>` that it should have.
        with_cas: it should have `cas`, if the run is one that heeds labels and so has `accuracy_gen`.
        repeats: from how many seeds of samples it should be, or from more; None: from any number.
        extractors: in whose features there should be distances besides the judge's.
        others: options that are not known here: where one is given, no evaluation fits.
    """
    if metrics.get("protocol") != protocol or any(others.values()):
        return False
    if with_cas and "cas" not in metrics and "accuracy_gen" in metrics:
        return False
    if repeats and metrics.get("repeats", 1) < repeats:
        return False
    if not all(any(key.endswith(f"_{name}") for key in metrics) for name in extractors if name != "judge"):
        return False
    return judges == {key: value for key, value in metrics.items() if key == "judge" or key.startswith("witness_")}
