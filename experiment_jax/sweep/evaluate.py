"""Evaluation of a sweep: its members measured, gathered to one row each, and the best by a metric.

`DIR/sweep.csv` is for programs, `DIR/sweep.html` for a browser, `DIR/sweep.md` for a document. With several seeds each
row is a mean, and `DIR/runs.csv` has a row a run, so that runs of one seed can be compared.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.comparison import comparable, kept
from experiment_jax.comparison.table import Row, measured_runs, metrics_of, numbers, to_csv
from experiment_jax.drawing import pictures
from experiment_jax.errors import Unwritable, UserError
from experiment_jax.evaluation import evaluate as evaluation
from experiment_jax.evaluation.plan import Plan
from experiment_jax.files import set_aside, write_text
from experiment_jax.metrics import noise
from experiment_jax.metrics.directions import DIRECTED, badness, directed
from experiment_jax.metrics.variety import COLLAPSED
from experiment_jax.runs import directory
from experiment_jax.sweep import page
from experiment_jax.sweep.markdown import markdown
from experiment_jax.sweep.members import Member, Sweep, read

log = logging.getLogger(__name__)


def evaluate(workdir: str | Path, by: str | Sequence[str] = "fd_gen", **options: Any) -> dict[str, Any]:
    """Evaluates what is not yet evaluated like this, writes sweep.csv, sweep.md, sweep.html and sweep.png, and where
    members were trained with several seeds runs.csv.

    Args:
        workdir: the sweep's directory.
        by: the metric that says which member is best; of several the first, and all are plotted, which needs no best.
        options: what is measured of each member, and how; see `evaluation.plan.Plan`.

    Returns:
        The best member: `name`, `workdir`, `by`, `runs`, what the sweep sets in it, and its metrics.

    Raises:
        UserError: the metric has no best value, there is no sweep, none of its members is finished or has that metric,
            or their judges or protocols differ, so that their numbers do not compare.
    """
    metrics = (by,) if isinstance(by, str) else tuple(by)
    by = metrics[0]
    if directed(by) is None:
        raise UserError(f"--by {by}: has no value that is best; choose one of {', '.join(sorted(DIRECTED))}")
    found = read(workdir)
    plan = Plan(**options)
    _check_comparable(found, plan)
    everything = [_run(found, member, plan) for member in found.members]
    runs = [row for row, _ in everything]
    groups: dict[str, list[Row]] = {}
    for member, row in zip(found.members, runs, strict=True):
        groups.setdefault(member.group, []).append(row)
    rows = [_over_runs(name, of_group) for name, of_group in groups.items()]
    known = metrics_of(rows)
    for metric in metrics if known else ():
        if metric not in known:
            choice = sorted(key for key in known if metric != by or directed(key) is not None)
            raise UserError(f"--by {metric}: no member has that metric; choose one of {', '.join(choice)}")
    measured = [row for row in rows if by in row.metrics]
    best = min(measured, key=lambda row: badness(by, row.metrics[by]), default=None)
    try:
        _keep_richer(found.workdir, rows)
        write_text(found.workdir / "sweep.csv", to_csv(rows, known, with_runs=True))
        if len(runs) > len(rows):
            write_text(found.workdir / "runs.csv", to_csv(runs, known, with_runs=True))
        first = next((each for _, each in everything if each), {})
        write_text(found.workdir / "sweep.md", markdown(rows, first))
        write_text(found.workdir / "sweep.html", page.page(found.spec, rows, metrics, best))
        if page.panels(rows, metrics):
            pictures.save(found.workdir / "sweep.png", page.all_plots(rows, metrics))
        log.info("wrote %s and sweep.html", found.workdir / "sweep.csv")
    except Unwritable as error:
        log.warning("the table is not kept: %s", error)
    if best is None:
        raise UserError(f"--workdir {workdir}: none of its members is measured; {workdir}/sweep.html says why")
    head = {"name": best.name, "workdir": str(best.workdir), "by": by, "runs": best.runs}
    return {**head, **best.settings, **best.metrics}


def _keep_richer(workdir: Path, rows: Sequence[Row]) -> None:
    """Sets the tables that are there aside, if a row of them is of more runs than now."""
    there = measured_runs(workdir / "sweep.csv")
    now = {row.name: row.runs for row in rows}
    lost = [name for name, runs in there.items() if runs > now.get(name, 0)]
    if lost:
        tag = str(sum(there.values()))
        set_aside([workdir / name for name in ("sweep.csv", "runs.csv", "sweep.md", "sweep.html", "sweep.png")], tag)
        log.warning("of %s fewer runs are measured than before: the table of before is sweep-%s.csv", lost[0], tag)


def _run(found: Sweep, member: Member, plan: Plan) -> tuple[Row, Mapping[str, Any]]:
    """The row of one member, evaluated where it is not, and all its metrics; without any where it cannot be."""
    about = member.name, member.overrides, found.directory(member)
    try:
        metrics, picture = measure(found, member, plan)
    except UserError as error:
        return Row(*about, {}, {}, 0, [str(error)], None), {}
    jax.clear_caches()
    return Row(*about, *numbers(metrics), 1, _collapse(metrics), picture), metrics


def _collapse(metrics: Mapping[str, Any]) -> list[str]:
    """That samples are nearly one image, where they are."""
    varies = metrics.get("pixel_spread", 1.0)
    return [f"collapsed: its samples vary {varies:.3f} times as much as real images"] if varies < COLLAPSED else []


def _over_runs(name: str, runs: Sequence[Row]) -> Row:
    """One row of runs that differ in the seed: means and their standard errors; of one run those over the seeds of its
    samples, where it has them."""
    if len(runs) == 1:
        return runs[0]
    settings = {key: value for key, value in runs[0].settings.items() if key != "seed"}
    problems = [f"{run.name}: {problem}" for run in runs for problem in run.problems]
    measured = [run for run in runs if run.runs]
    first = (measured or runs)[0]
    metrics, errors = first.metrics, first.errors
    if len(measured) > 1:
        values = [run.metrics for run in measured]
        metrics, errors = noise.means(values), noise.errors(values)
    return Row(name, settings, runs[0].workdir, metrics, errors, len(measured), problems, first.picture)


def measure(found: Sweep, member: Member, plan: Plan) -> tuple[Mapping[str, Any], np.ndarray]:
    """The metrics of a member's evaluation and its picture row, made now where they are not there.

    Args:
        found: the sweep.
        member: one of its members.
        plan: what is measured.

    Raises:
        UserError: the member failed, or is not finished.
    """
    config = _finished(found, member)
    return kept.measured(found.directory(member), config, plan, evaluation.evaluate)


def _finished(found: Sweep, member: Member) -> ConfigDict:
    """The config in a member's own directory, by which it is evaluated.

    Raises:
        UserError: the member failed, or is not finished.
    """
    failure = found.failure(member)
    if failure.is_file():
        raise UserError(f"failed: {failure.read_text().strip()}")
    kept.finished_step(found.directory(member), found.config(member))
    return directory.read_config(found.directory(member))


def _check_comparable(found: Sweep, plan: Plan) -> None:
    """Raises UserError where two members that can be measured would be by different judges or protocols."""
    entries = []
    for member in found.members:
        try:
            entry = comparable.Measured(member.name, found.directory(member), _finished(found, member))
            comparable.judge_of(entry.config, plan)
        except UserError:
            continue  # its row will say so
        entries.append(entry)
    comparable.check(f"--workdir {found.workdir}", entries, plan)
