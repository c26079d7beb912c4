"""A table of runs: a row a run, which values are best and which tie with them, as CSV, Markdown and cells of a page."""

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiment_jax.drawing.pages import Cell
from experiment_jax.metrics.directions import arrow, badness, directed
from experiment_jax.metrics.noise import ERROR, is_number, tied

TIMES = ("seconds", "cas_seconds", "latents_per_second")  # how long measuring took, which says nothing of a run
Numbers = tuple[Mapping[str, float], Mapping[str, float]]  # values and standard errors, by metric


@dataclasses.dataclass(frozen=True)
class Row:
    """One row: a run, several runs of one config, or samples in files.

    Attributes:
        name: of the row.
        settings: what is said of it before the metrics, by column; of a member, what the sweep sets, by dotted key.
        workdir: the run's directory, of several the first; of samples, their path.
        metrics: numbers by name; of several runs their means.
        errors: the standard errors of those that have one.
        runs: how many runs were measured.
        problems: why others were not, and what is wrong with those that were.
        picture: uint8 `[height, width, 3]`; None: nothing was measured.
    """

    name: str
    settings: Mapping[str, Any]
    workdir: Path
    metrics: Mapping[str, float]
    errors: Mapping[str, float]
    runs: int
    problems: Sequence[str]
    picture: np.ndarray | None


def numbers(metrics: Mapping[str, Any]) -> Numbers:
    """The numbers of an evaluation, without how long it took, and their standard errors, which stand under `KEY_se`."""
    found = {key: value for key, value in metrics.items() if is_number(value)}
    bases = {key: key.removesuffix(ERROR) for key in found if key.endswith(ERROR) and key.removesuffix(ERROR) in found}
    values = {key: value for key, value in found.items() if key not in bases and key not in TIMES}
    return values, {base: found[key] for key, base in bases.items() if base in values}


def best_of(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The names of the best row and of those that tie with it, the best first, by each metric of which some value is
    best and that two rows have. Where 1 is best, distances from 1 are compared."""
    found = {}
    for metric in metrics_of(rows):
        having = [row for row in rows if metric in row.metrics]
        if directed(metric) is None or len(having) < 2:
            continue
        bad = {row.name: badness(metric, row.metrics[metric]) for row in having}
        errors = {row.name: row.errors.get(metric, 0.0) for row in having}
        best = min(bad, key=bad.get)
        ties = [name for name in bad if name != best and tied(bad[name], bad[best], errors[name], errors[best])]
        found[metric] = [best, *ties]
    return found


def settings_of(rows: Sequence[Row]) -> list[str]:
    """The settings that some row has, in the order in which they come."""
    return list(dict.fromkeys(key for row in rows for key in row.settings))


def metrics_of(rows: Sequence[Row]) -> list[str]:
    """The metrics that some row has, in the order in which they come."""
    return list(dict.fromkeys(key for row in rows for key in row.metrics))


def shown(row: Row, metric: str) -> str:
    """The row's value of a metric for a person: a whole number, four digits, or as many as its standard error allows;
    "": none."""
    if metric not in row.metrics:
        return ""
    value, error = row.metrics[metric], row.errors.get(metric, 0.0)
    if not (0 < error < math.inf):
        return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    decimals = max(0, 1 - math.floor(math.log10(error)))  # two digits of the error
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def titled(metric: str) -> str:
    """A metric's name with an arrow to where its values are better."""
    return f"{metric} {arrow(metric)}".rstrip()


def cell(row: Row, metric: str, best: Mapping[str, Sequence[str]]) -> Cell:
    """The row's value of a metric in a page: marked where it is in `best_of` the rows, ties otherwise than the best."""
    names = best.get(metric, ())
    kind = "" if row.name not in names else "best" if row.name == names[0] else "best tie"
    return Cell(row.metrics.get(metric, ""), shown(row, metric), kind)


def to_csv(rows: Sequence[Row], metrics: Sequence[str], *, with_runs: bool = False) -> str:
    """The table as text: the name, settings, and each metric to the last digit, followed by `KEY_se` where some row has
    standard errors.

    Args:
        rows: of the table.
        metrics: the columns.
        with_runs: also how many runs a row is of, and the problems of others.
    """
    with_errors = any(row.errors for row in rows)
    columns = [column for key in metrics for column in ((key, key + ERROR) if with_errors else (key,))]
    about = ["runs", "problems"] if with_runs else []
    text = io.StringIO()
    names = ["name", *settings_of(rows), *about, *columns]
    writer = csv.DictWriter(text, names, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        errors = {key + ERROR: value for key, value in row.errors.items()}
        own = dict(name=row.name, runs=row.runs, problems="; ".join(row.problems))
        writer.writerow({**own, **row.settings, **row.metrics, **errors})
    return text.getvalue()


def measured_runs(path: Path) -> dict[str, int]:
    """How many runs each row of a table that `to_csv` wrote is of, by name; a row of a table without that column is of
    one. {} where there is no table, or no longer one."""
    try:
        with path.open(newline="") as file:
            return {row["name"]: int(row.get("runs") or 1) for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, csv.Error):
        return {}


def to_markdown(
    rows: Sequence[Row], settings: Sequence[str], metrics: Sequence[str], best: Mapping[str, Sequence[str]]
) -> str:
    """The table in Markdown, with those settings and metrics for columns.

    Arrows point to where values are better; those in `best_of` the rows are bold.
    """

    def value(row: Row, metric: str) -> str:
        text = shown(row, metric)
        return f"**{text}**" if text and row.name in best.get(metric, ()) else text

    head = ["", *settings, *(f"`{metric}` {arrow(metric)}".rstrip() for metric in metrics)]
    lines = [head, ["---"] * (1 + len(settings)) + ["---:"] * len(metrics)]
    for row in rows:
        about = [row.name, *(str(row.settings.get(key, "")) for key in settings)]
        lines.append([*(text.replace("|", "\\|") for text in about), *(value(row, metric) for metric in metrics)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
