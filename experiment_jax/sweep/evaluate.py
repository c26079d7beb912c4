"""Evaluation of a sweep: its members measured, gathered to one row each, and the best by a metric.

`DIR/sweep.csv` is for programs, `DIR/sweep.html` for a browser. Times are left out of both: a sweep that was
interrupted ends with the same table as one that was not.
"""

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.drawing import pictures
from experiment_jax.errors import UserError
from experiment_jax.evaluation import evaluate as evaluation
from experiment_jax.evaluation import judges
from experiment_jax.evaluation.judge import digests
from experiment_jax.evaluation.plan import Plan
from experiment_jax.files import write_text
from experiment_jax.metrics import noise
from experiment_jax.runs import checkpoints, directory
from experiment_jax.runs.run import Run, load_run
from experiment_jax.sweep import page
from experiment_jax.sweep.members import Member, Sweep, read
from experiment_jax.sweep.table import DIRECTED, Row, badness, directed, metrics_of, to_csv
from experiment_jax.training.train import train

log = logging.getLogger(__name__)
TIMES = ("seconds", "cas_seconds", "images_per_second", "latents_per_second")


def evaluate(
    workdir: str | Path,
    by: str | Sequence[str] = "fd_gen",
    **options: Any,
) -> dict[str, Any]:
    """Evaluates what is not yet evaluated like this, writes sweep.csv, sweep.html and sweep.png.

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
    groups: dict[str, list[Member]] = {}
    for member in found.members:
        groups.setdefault(member.group, []).append(member)
    rows = [_row(found, name, members, plan) for name, members in groups.items()]
    known = metrics_of(rows)
    for metric in metrics if known else ():
        if metric not in known:
            choice = sorted(key for key in known if metric != by or directed(key) is not None)
            raise UserError(f"--by {metric}: no member has that metric; choose one of {', '.join(choice)}")
    measured = [row for row in rows if by in row.metrics]
    best = min(measured, key=lambda row: badness(by, row.metrics[by]), default=None)
    write_text(found.workdir / "sweep.csv", to_csv(rows))
    write_text(found.workdir / "sweep.html", page.page(found.spec, rows, metrics, best))
    if page.panels(rows, metrics):
        pictures.save(found.workdir / "sweep.png", page.all_plots(rows, metrics))
    log.info("wrote %s and sweep.html", found.workdir / "sweep.csv")
    if best is None:
        raise UserError(f"--workdir {workdir}: none of its members is measured; {workdir}/sweep.html says why")
    head = {"name": best.name, "workdir": str(best.workdir), "by": by, "runs": best.runs}
    return {**head, **best.settings, **best.metrics}


def _row(found: Sweep, name: str, members: Sequence[Member], plan: Plan) -> Row:
    """One row, its members evaluated where they are not."""
    measured, problems, picture = [], [], None
    for member in members:
        try:
            metrics, drawn = measure(found, member, plan)
        except UserError as error:
            problems.append(f"{member.name}: {error}" if len(members) > 1 else str(error))
            continue
        measured.append(metrics)
        picture = drawn if picture is None else picture
        jax.clear_caches()
    settings = {key: value for key, value in members[0].overrides.items() if len(members) == 1 or key != "seed"}
    means, errors = _over_runs(measured)
    return Row(name, settings, found.directory(members[0]), means, errors, len(measured), problems, picture)


def _over_runs(measured: Sequence[Mapping[str, float]]) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Means over runs and their standard errors; of one run those over the seeds of its samples, where it has them."""
    if not measured:
        return {}, {}
    rows = [{key: value for key, value in row.items() if not key.endswith(noise.ERROR)} for row in measured]
    within = {key.removesuffix(noise.ERROR): value for key, value in measured[0].items() if key.endswith(noise.ERROR)}
    return noise.means(rows), noise.errors(rows) if len(rows) > 1 else within


def measure(found: Sweep, member: Member, plan: Plan) -> tuple[dict[str, float], np.ndarray]:
    """The numbers of a member's evaluation and its picture row, made now where they are not there.

    Args:
        found: the sweep.
        member: one of its members.
        plan: what is measured.

    Raises:
        UserError: the member failed, or is not finished.
    """
    workdir = found.directory(member)
    config, step = _finished(found, member)
    folder = workdir / "eval" / str(step)
    metrics, picture = folder / "metrics.json", folder / "row.png"
    before = json.loads(metrics.read_text()) if metrics.is_file() else {}
    fits = _fits(before, config, plan)
    if not (fits and picture.is_file()):
        log.info("evaluating %s", member.name)
        run = load_run(workdir)
        before = before if fits else evaluation.evaluate(run, **dataclasses.asdict(plan))
        pictures.save(picture, row_picture(run))
    numbers = {key: value for key, value in before.items() if noise.is_number(value) and key not in TIMES}
    return numbers, pictures.read(picture)


def _finished(found: Sweep, member: Member) -> tuple[ConfigDict, int]:
    """The config in a member's own directory, by which it is evaluated, and the step that its last stage ended with.

    Raises:
        UserError: the member failed, or is not finished.
    """
    workdir, failure = found.directory(member), found.failure(member)
    if failure.is_file():
        raise UserError(f"failed: {failure.read_text().strip()}")
    record = checkpoints.finished_record(workdir, found.config(member).stages[-1])
    if record is None:
        raise UserError("not trained to the end yet")
    return directory.read_config(workdir), record["step"]


def _fits(metrics: Mapping[str, Any], config: ConfigDict, plan: Plan) -> bool:
    """Whether an evaluation's metrics are those that would be measured now: by the same protocol, options and judges,
    and with `cas` where it is asked for and a run has it (one that heeds labels, as `accuracy_gen`)."""
    if plan.with_cas and "cas" not in metrics and "accuracy_gen" in metrics:
        return False
    if plan.with_lpips and "extractor_lpips" not in metrics:
        return False
    expected = {"protocol": plan.protocol_of(config), **plan.marks()}
    expected |= digests(judges.of_run(config, train, plan.judge))
    witnessed = {key for key in metrics if key.startswith("witness_")}
    return witnessed <= expected.keys() and all(metrics.get(key) == value for key, value in expected.items())


def _check_comparable(found: Sweep, plan: Plan) -> None:
    """Raises UserError where two members that can be measured would be by different judges or protocols."""
    first: tuple[str, str, str, str] | None = None
    for member in found.members:
        try:
            config, _ = _finished(found, member)
            judge = judges.find(plan.judge or config.judge, config.data, train).digest
        except UserError:
            continue  # its row will say so
        own = member.name, judge, config.judge, plan.protocol_of(config)
        first = first or own
        numbers = f"--workdir {found.workdir}: the numbers of {first[0]} and {member.name} do not compare,"
        if first[1] != own[1]:
            raise UserError(
                f"{numbers} their judges are {first[2]} and {own[2]}; evaluate each by itself, as in "
                f"eval.py --workdir {found.directory(member)}"
            )
        if first[3] != own[3]:
            raise UserError(f"{numbers} their protocols are {first[3]} and {own[3]}; type --protocol {first[3]}")


def row_picture(run: Run) -> np.ndarray:
    """One row of images of a run, drawn from the same keys as that of every other run of its seed.

    Two samples of each of the first ten classes, or of each of the first ten low-resolution test images; of a run that
    does not sample, reconstructions under their originals.
    """
    if run.model.sample is None:
        originals = run.test.images[:20]
        return pictures.grid(pictures.alternate(originals, run.decode(run.encode(originals)), 20))
    if run.model.degrade is None:
        condition = np.arange(min(run.dataset.num_classes, 10), dtype=np.int32)
    else:
        condition = run.observe(run.test.images[:10])
    return pictures.grid(run.sample(np.repeat(condition, 2, axis=0)).images[None])
