"""report.html of a run: one page of what it learned, how, and how well, beside the metrics.json of its evaluation."""

import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from experiment_jax.comparison.explained import meanings, plain
from experiment_jax.comparison.table import Row, cell, numbers, titled
from experiment_jax.config.types import flat
from experiment_jax.data.load import title as title_of_data
from experiment_jax.drawing import pages
from experiment_jax.drawing.pages import Cell, Markup
from experiment_jax.evaluation.output import folder
from experiment_jax.files import write_text
from experiment_jax.metrics.directions import MEANINGS, directed
from experiment_jax.report import curves, images, latents
from experiment_jax.runs.run import Run
from experiment_jax.training.logger import read_metrics

NAME = "report.html"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "ott-jax", "numpy")
# What real images get in place of samples, or of reconstructions.
REAL = {
    "fd_gen": "fd_floor",
    "fd_recon": "fd_floor",
    "accuracy_gen": "accuracy_real",
    "accuracy_recon": "accuracy_real",
    "w1_latent": "w1_latent_floor",
}


def write(run: Run, metrics: Mapping[str, Any], command: str = "") -> Path:
    """Writes the page to `DIR/eval/<step>/report.html`, returns its path.

    Args:
        run: from `load_run`; one that decodes.
        metrics: what `evaluate` returned for it.
        command: what was typed; "": nothing is said of it.

    Raises:
        Unwritable: the system refuses it.
    """
    path = folder(run) / NAME
    write_text(path, page(run, metrics, command))
    return path


def page(run: Run, metrics: Mapping[str, Any], command: str = "") -> str:
    """The page; for the arguments see `write`."""
    # A run that is compared with validation images shows none of test.
    held_out = run.dataset.validation if metrics["protocol"].startswith("validation") else run.test
    rows, stages, found = read_metrics(run.workdir), run.config.stages, images.drawn(run, held_out)
    return pages.page(
        f"{metrics['method']} on {title_of_data(metrics['dataset'])}, step {run.step:,}",
        _table(metrics),
        pages.section("Samples", images.samples(run, held_out, found)),
        pages.section("Reconstructions", images.reconstructions(run, held_out)),
        pages.section("Nearest training images", images.nearest(run, found)),
        pages.section("Latents", latents.latents(run, held_out)),
        *(pages.section(f"Training: {stage}", _training(run, rows, stage)) for stage in stages),
        pages.section("What the metrics mean", meanings(list(metrics))),
        pages.section("All that was measured", _all(metrics)),
        pages.section("Config", _config(run)),
        pages.section("Versions", pages.definitions(versions())),
        pages.section("Command", pages.code(command) if command else ""),
    )


def _table(metrics: Mapping[str, Any]) -> Markup:
    """The main metrics, and what real images get."""
    values, errors = numbers(metrics)
    row = Row("run", {}, Path(), values, errors, 1, (), None)
    order = list(MEANINGS)
    main = [key for key in values if directed(key) in MEANINGS]
    main.sort(key=lambda key: (order.index(directed(key)), key != directed(key)))
    lines = [[titled(key), cell(row, key, {}), *_of_real(key, values)] for key in main]
    caption = (
        f"Protocol {metrics['protocol']}, judge {metrics['judge']}. Arrows point to where values are better. "
        "Compare a value with that of real images where there is one."
    )
    return pages.table(["metric", "value", "real images"], lines, caption, sorts=False)


def _of_real(key: str, values: Mapping[str, float]) -> list[Cell]:
    value = values.get(REAL.get(key, ""))
    return [Cell("" if value is None else value, "" if value is None else plain(value))]


def _training(run: Run, rows: list[dict[str, Any]], stage: str) -> Markup:
    """Curves, and pictures over time; nothing of a stage that was not trained here."""
    drawn, pictures = curves.curves(rows, stage), images.over_time(run.workdir, stage)
    taken = run.config[stage].get("from_run", "")
    said = f"The stage was taken from another run, {taken}." if taken else ""
    return pages.join([pages.paragraph(said), drawn, pictures], "\n") if drawn or pictures or said else Markup()


def _all(metrics: Mapping[str, Any]) -> Markup:
    return pages.folded(
        f"{len(metrics)} values of metrics.json", pages.definitions({key: plain(each) for key, each in metrics.items()})
    )


def _config(run: Run) -> Markup:
    """The settings; of stages, those of this run's alone."""
    stages = run.config.stages
    others = [key for key, each in run.config.items() if isinstance(each, ConfigDict) and "build" in each]
    own = {key: each for key, each in run.config.items() if key in stages or key not in others}
    settings = {key: plain(value) for key, value in flat(own).items()}
    return pages.folded(f"{len(settings)} settings of config.json", pages.definitions(settings))


def versions() -> dict[str, str]:
    """Of what evaluated the run."""
    device = jax.devices()[0]
    return {
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "device": f"{len(jax.devices())} × {device.device_kind} ({device.platform})",
        "system": platform.platform(),
    }
