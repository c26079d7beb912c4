"""The table of a sweep: a row a member, which values are best, and CSV."""

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# Which value of a metric is best. Of all that is not here none is: counts, settings, what the real images get.
LARGEST = (
    "accuracy_gen",
    "accuracy_recon",
    "accuracy_classifier",
    "accuracy_mix_1.0",
    "precision",
    "recall",
    "cas",
    "accepted",
    "acceptance_rate",
    "psnr",
    "ssim",
)
SMALLEST = (
    "fd_gen",
    "fd_recon",
    "fd_gen_vs_recon",
    "fd_mix_1.0",
    "kid_gen",
    "mae_recon",
    "w1_latent",
    "w1_latent_sliced",
    "copied",
    "lr_consistency",
    "perceptual",
    "bound_reconstruction",
    "bound_lipschitz",
    "bound_w1_latent",
    "bound_w1_image",
    "bound_right",
)
NEAREST_TO_1 = ("spread", "spread_skill", "fidelity", "nearest_train_ratio")
DIRECTED = (*LARGEST, *SMALLEST, *NEAREST_TO_1)
# In front of a metric, whose images it is of; behind, who measured it or of how many latents: it is the same metric.
IMAGES = ("bicubic_", "regression_", "recon_", "mean_")
FAMILIES = {"accuracy_gen_": "accuracy_gen", "accuracy_recon_": "accuracy_recon", "accepted_": "accepted"}
FAMILIES |= {"accuracy_mix_": "accuracy_mix_1.0", "fd_mix_": "fd_mix_1.0"}
REAL = ("accuracy_mix_0.0", "fd_mix_0.0")  # of a family, but of real images


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


def directed(metric: str) -> str | None:
    """The metric of DIRECTED whose direction this one has; None: no value of it is better than another."""
    if metric in REAL:
        return None
    for prefix in IMAGES:
        metric = metric.removeprefix(prefix)
    metric = next((whole for start, whole in FAMILIES.items() if metric.startswith(start)), metric)
    return metric if metric in DIRECTED else None


def badness(metric: str, value: float) -> float:
    """A number that is smaller where the value of the metric is better.

    Raises:
        ValueError: a metric without a direction.
    """
    kind = directed(metric)
    if kind is None:
        raise ValueError(f"{metric}: no value is better than another")
    if kind in NEAREST_TO_1:
        return abs(value - 1.0)
    return -value if kind in LARGEST else value


def best_of(rows: Sequence[Row]) -> dict[str, str]:
    """The name of the best row by each metric of which some value is best."""
    found = {}
    for metric in metrics_of(rows):
        if directed(metric) is not None:
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
