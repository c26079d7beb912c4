"""Curves of training: what the rows of metrics.jsonl say of each stage, a plot a metric."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from experiment_jax.drawing import pages, plots
from experiment_jax.drawing.pages import Markup

NORM = "_norm"  # metrics that end so share a plot
FIRST = ("loss", "validation_")  # what is drawn before the rest
Row = Mapping[str, Any]


def curves(rows: Sequence[Row], stage: str) -> Markup:
    """The plots of one stage; nothing where it has no rows."""
    own = [row for row in rows if row["stage"] == stage]
    drawn = [pages.figure(plot(own, keys), f"{title} of {stage} against steps") for title, keys in panels(own).items()]
    return pages.gallery(drawn)


def panels(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The metrics of each plot, by its title: the loss first, then what was validated; norms share the last."""
    keys = dict.fromkeys(key for row in rows for key in row if key not in ("stage", "step"))
    alone = [key for key in keys if not key.endswith(NORM)]
    alone.sort(key=lambda key: next((place for place, name in enumerate(FIRST) if key.startswith(name)), len(FIRST)))
    norms = [key for key in keys if key.endswith(NORM)]
    return {key: [key] for key in alone} | ({"norms": norms} if norms else {})


def plot(rows: Sequence[Row], keys: Sequence[str]) -> np.ndarray:
    """Metrics against the step, uint8 `[height, width, 3]`; logarithmic where they span more than a factor of 20."""
    figure = plots.figure(3.6, 2.4)
    axes = figure.subplots()
    values = []
    for key in keys:
        found = [(row["step"], row[key]) for row in rows if key in row]
        axes.plot(*zip(*found, strict=True), "o-" if len(found) < 12 else "-", markersize=3, linewidth=1, label=key)
        values += [value for _, value in found]
    if 0 < 20 * min(values) < max(values):
        axes.set_yscale("log")
    if len(keys) > 1:
        axes.legend(fontsize="x-small")
    axes.set_title(keys[0] if len(keys) == 1 else "norms", fontsize="medium")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)
    return plots.image(figure)
