"""A comparison: any runs and samples in files under one judge and one protocol, as a page and two tables.

`OUT/compare.html` is for a browser, `OUT/compare.csv` for programs, `OUT/compare.md` for a paper or a README.
"""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.comparison import comparable, compare_page, contenders, kept, sample_row
from experiment_jax.comparison.compare_page import Comparison
from experiment_jax.comparison.contenders import Contender
from experiment_jax.comparison.table import Row, best_of, measured_runs, numbers
from experiment_jax.config.places import place
from experiment_jax.data import load
from experiment_jax.errors import Unwritable, UserError
from experiment_jax.evaluation import evaluate as evaluation
from experiment_jax.evaluation.files import read_images
from experiment_jax.evaluation.plan import Plan
from experiment_jax.files import replacing
from experiment_jax.metrics.directions import OWN

log = logging.getLogger(__name__)
ABOUT = ("method", "protocol", "judge")


def compare(
    paths: Sequence[str | Path],
    out: str | Path = "compare",
    *,
    config: ConfigDict | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Measures what is not measured like this yet, and writes compare.html, compare.csv and compare.md.

    A run's evaluation is used where it is there, and written as `experiment_jax.evaluate` writes it where it is not.

    Args:
        paths: runs' directories; samples as folders or .npz, of which as many are taken as the protocol asks for.
        out: the directory to write to; new, empty, or of a comparison, which is replaced.
        config: whose data set and judge count; None: those of the runs, which must be the same.
        options: what is measured, and how; see `evaluation.plan.Plan`. Protocol and judge, where none is given, are
            those of the configs, which must be the same.

    Returns:
        `page` (where it could be written), `protocol`, `judge`, `best` (the names of the best and of those that tie
        with it, by metric) and `runs` (the metrics of each, by name).

    Raises:
        UserError: nothing to compare at a path, two that do not compare, fewer samples than the protocol asks for, no
            config to measure samples by, an `out` that holds something else, or what `evaluate` and `evaluate_images`
            refuse. Nothing is written to `out` then.
    """
    out = place(out, "--out")
    check_directory(out)
    plan, found = Plan(**options), contenders.find(paths)
    terms = _terms(found, config, plan)
    found = [_read(each, terms, plan) if each.config is None else each for each in found]
    measured = {}
    for each in sorted(found, key=lambda each: each.config is not None):  # samples first: quick to refuse
        measured[each.name] = _samples(each, terms, plan) if each.config is None else _run(each, plan)
        jax.clear_caches()  # the next one compiles programs of its own
    metrics = {each.name: measured[each.name][0] for each in found}
    rows = [_row(each, *measured[each.name]) for each in found]
    best = {key: names for key, names in best_of(rows).items() if key not in OWN}
    asked = plan.protocol_of(terms)
    comparison = Comparison(found, rows, metrics, best, asked)
    page = {"page": str(out / "compare.html")}
    try:
        _write(out, compare_page.files(comparison), {row.name for row in rows})
    except Unwritable as error:
        log.warning("the page is not kept: %s", error)
        page = {}
    judge = metrics[found[0].name]["judge"]
    return {**page, "protocol": asked, "judge": judge, "best": best, "runs": metrics}


def check_directory(out: Path) -> None:
    """Raises UserError unless a comparison can be written there and nothing else is lost by it."""
    if out.is_dir():
        if any(out.iterdir()) and not (out / "compare.html").is_file():
            raise UserError(f"--out {out}: is not empty and holds no comparison; choose another --out")
        return
    above = next(each for each in (out, *out.absolute().parents) if each.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UserError(f"--out {out}: cannot be made in {above}; choose another --out")


def _terms(found: Sequence[Contender], config: ConfigDict | None, plan: Plan) -> ConfigDict:
    """The config whose data set, judge and protocol count for all.

    Args:
        found: all that is compared.
        config: given for samples; None: that of the first run.
        plan: what is measured.

    Raises:
        UserError: there is no config, or two do not compare.
    """
    entries = [comparable.Measured(each.name, each.path, each.config) for each in found if each.config is not None]
    if config is not None:
        entries = [comparable.Measured("--config", Path(), config), *entries]
    if not entries:
        raise UserError(
            f"--compare {found[0].path}: samples do not say their data set; type --config configs/NAME.py too"
        )
    comparable.check("--compare", entries, plan)
    return entries[0].config


def _read(contender: Contender, config: ConfigDict, plan: Plan) -> Contender:
    """The same with its samples.

    Raises:
        UserError: there are fewer than the protocol asks for, or what `read_images` refuses.
    """
    samples = read_images(contender.path, config.data, "--compare")
    if len(samples) < plan.split_and_count(config)[1]:
        few = f"has {len(samples)} images, fewer than {plan.protocol_of(config)}"
        raise UserError(f"--compare {contender.path}: {few}; type --num_samples {len(samples)}")
    return dataclasses.replace(contender, samples=samples)


def _run(contender: Contender, plan: Plan) -> tuple[Mapping[str, Any], np.ndarray]:
    """Metrics and row of images of a run."""
    return kept.measured(contender.path, contender.config, plan, evaluation.evaluate)


def _samples(contender: Contender, config: ConfigDict, plan: Plan) -> tuple[Mapping[str, Any], np.ndarray]:
    """Metrics and row of images of samples in files, which are drawn once and train nothing."""
    classes = len(load.read(config.data, "test")[1])
    samples = contenders.choose(contender.samples, plan.split_and_count(config)[1])
    options = dataclasses.asdict(dataclasses.replace(plan, repeats=1, with_cas=False))
    log.info("evaluating %s", contender.path)
    try:
        metrics = evaluation.evaluate_images(config, samples.images, samples.labels, **options)
    except UserError as error:
        raise UserError(f"--compare {contender.path}: {error}") from None
    return metrics, sample_row.of_images(contender.samples, classes)


def _row(contender: Contender, metrics: Mapping[str, Any], picture: np.ndarray) -> Row:
    values, errors = numbers(metrics)
    about = {key: metrics[key] for key in ABOUT if key in metrics}
    return Row(contender.name, about, contender.path, values, errors, 1, (), picture)


def _write(out: Path, files: Mapping[str, str], names: set[str]) -> None:
    """Writes all files, or none; those that are there are set aside, if they hold a run that these do not."""
    there = measured_runs(out / "compare.csv")
    others = there.keys() - names
    with contextlib.ExitStack() as stack:
        for name, text in files.items():
            stack.enter_context(replacing(out / name, aside=str(len(there)) if others else "")).write_text(text)
    if others:
        log.warning("the comparison that was in %s had others: it is compare-%d.html now", out, len(there))
    log.info("wrote %s", out / "compare.html")
