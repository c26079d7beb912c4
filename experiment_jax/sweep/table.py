"""The table of a sweep: a row a member, which values are best, and CSV."""

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# Which value of a metric is best, by how its name begins; of others, and of what the real images get, none is.
HIGHEST = (
    "accuracy_gen",
    "accuracy_recon",
    "accuracy_classifier",
    "precision",
    "recall",
    "cas",
    "accept",
    "psnr",
    "ssim",
)
LOWEST = ("fd_gen", "fd_recon", "kid_gen", "mae_recon", "w1_latent", "copied", "lr_consistency", "bound_")
ONE = ("spread", "fidelity", "nearest_train_ratio")


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table: a member, or the runs of a member with several seeds.

    Attributes:
        name: of the member.
        settings: what the sweep sets in it, by dotted key.
        workdir: the run's directory, of several the first.
        metrics: the mean over its runs, by name.
        errors: the standard error of each mean, where there are two runs or more.
        runs: how many runs were measured.
        problems: why others were not.
        picture: uint8 `[height, width, 3]`; None: no run was measured.
    """

    name: str
    settings: Mapping[str, Any]
    workdir: Path
    metrics: Mapping[str, float]
    errors: Mapping[str, float]
    runs: int
    problems: Sequence[str]
    picture: np.ndarray | None


def badness(metric: str, value: float) -> float:
    """A number that is smaller where the value of the metric is better; of an unknown metric the value itself."""
    if metric.startswith(ONE):
        return abs(value - 1.0)
    return -value if metric.startswith(HIGHEST) else value


def best_of(rows: Sequence[Row]) -> dict[str, str]:
    """The name of the best row by each metric of which some value is best."""
    found = {}
    for metric in metrics_of(rows):
        if metric.startswith((*HIGHEST, *LOWEST, *ONE)) and not metric.endswith("_floor"):
            having = [row for row in rows if metric in row.metrics]
            found[metric] = min(having, key=lambda row: badness(metric, row.metrics[metric])).name
    return found


def settings_of(rows: Sequence[Row]) -> list[str]:
    """The dotted keys that the sweep sets, in the order in which they come."""
    return list(dict.fromkeys(key for row in rows for key in row.settings))


def metrics_of(rows: Sequence[Row]) -> list[str]:
    """The metrics that some row has, in the order in which they come."""
    return list(dict.fromkeys(key for row in rows for key in row.metrics))


def to_csv(rows: Sequence[Row]) -> str:
    """The table as text: the name, settings, runs, problems, and each metric, with `_stderr` where there are seeds."""
    settings, metrics = settings_of(rows), metrics_of(rows)
    with_errors = any(row.errors for row in rows)
    columns = [column for key in metrics for column in ((key, f"{key}_stderr") if with_errors else (key,))]
    text = io.StringIO()
    writer = csv.DictWriter(text, ["name", *settings, "runs", "problems", *columns], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        errors = {f"{key}_stderr": value for key, value in row.errors.items()}
        own = dict(name=row.name, runs=row.runs, problems="; ".join(row.problems))
        writer.writerow({**own, **row.settings, **row.metrics, **errors})
    return text.getvalue()
