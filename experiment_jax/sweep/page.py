"""sweep.html: a table that sorts, a plot a setting and a row of pictures a member."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from experiment_jax.comparison.table import Row, best_of, cell, metrics_of, settings_of, shown, titled
from experiment_jax.drawing import pages, plots
from experiment_jax.drawing.pages import Cell

CURVES = 8  # more have no legend
CAPTION = (
    "Arrows point to where values are better. The best of a column is marked, and with ≈ what differs from it by less "
    "than twice the standard error of their difference. A press on a column's name sorts by it."
)


def page(spec: str, rows: Sequence[Row], metrics: Sequence[str], best: Row | None) -> str:
    """The page.

    Args:
        spec: the config that was swept.
        rows: of the table.
        metrics: those to plot; the first says which member is best.
        best: the best row by it; None: nothing was measured.
    """
    by = metrics[0]
    summary = f"{len(rows)} members. "
    if best is not None:
        summary += f"Best by {by}: {best.name}, {shown(best, by)}."
    drawn = [pages.figure(plot(rows, *panel), "{1} against {0}".format(*panel)) for panel in panels(rows, metrics)]
    strips = [pages.figure(row.picture, f"samples of {row.name}", row.name) for row in rows if row.picture is not None]
    return pages.page(
        f"Sweep of {spec}",
        pages.paragraph(summary),
        _table(rows, by, best),
        pages.section("Metrics against settings", pages.gallery(drawn)),
        pages.section("Pictures, from the same keys", pages.strips(strips, "pictures, a row a member")),
    )


def _table(rows: Sequence[Row], by: str, best: Row | None) -> pages.Markup:
    """All settings and metrics, `by` in front."""
    settings, winners = settings_of(rows), best_of(rows)
    others = [key for key in metrics_of(rows) if key != by]
    problems = ["problems"] if any(row.problems for row in rows) else []
    head = ["name", titled(by), *settings, "runs", *map(titled, others), *problems]
    lines = []
    for row in rows:
        cells = [row.name, cell(row, by, winners), *(row.settings.get(key, "") for key in settings), row.runs]
        cells += [cell(row, key, winners) for key in others]
        lines.append([*cells, *([Cell("; ".join(row.problems), kind="problem")] if problems else [])])
    chosen = next((number for number, row in enumerate(rows) if row is best), None)
    return pages.table(head, lines, CAPTION, chosen=chosen)


def panels(rows: Sequence[Row], metrics: Sequence[str]) -> list[tuple[str, str]]:
    """The plots that are drawn, as (setting, metric): settings in which members with that metric differ."""
    return [(key, metric) for key in settings_of(rows) for metric in metrics if _varies(rows, key, metric)]


def _varies(rows: Sequence[Row], key: str, by: str) -> bool:
    """Whether members with different values of a setting have the metric `by`."""
    return len({str(row.settings[key]) for row in rows if key in row.settings and by in row.metrics}) > 1


def plot(rows: Sequence[Row], key: str, by: str) -> np.ndarray:
    """The metric `by` against the setting `key`, see `draw`: uint8 `[height, width, 3]`."""
    figure = plots.figure(4.0, 3.0)
    draw(figure.subplots(), rows, key, by)
    return plots.image(figure)


def all_plots(rows: Sequence[Row], metrics: Sequence[str]) -> np.ndarray:
    """A row of plots a setting that has curves (of none, the first setting), a column a metric: uint8 `[h, w, 3]`."""
    keys = list(dict.fromkeys(key for key, _ in panels(rows, metrics)))
    keys = [key for key in keys if any(len(curve) > 1 for curve in _curves(rows, key).values())] or keys[:1]
    figure = plots.figure(4.0 * len(metrics), 3.2 * len(keys))
    for line, key in zip(figure.subplots(len(keys), len(metrics), squeeze=False), keys, strict=True):
        for axes, metric in zip(line, metrics, strict=True):
            draw(axes, rows, key, metric)
    return plots.image(figure)


def draw(axes: Axes, rows: Sequence[Row], key: str, by: str) -> None:
    """The metric `by` of each row that has the setting `key`, with standard errors.

    A curve connects rows that agree in all other settings. A row that agrees with no other row is a grey point.
    """
    curves = _curves([row for row in rows if by in row.metrics], key)
    numeric = _numeric(rows, key)
    if numeric:
        _numeric_axis(axes, sorted({row.settings[key] for curve in curves.values() for row in curve}))
    titles = _titles([settings for settings, curve in curves.items() if len(curve) > 1])
    for settings, curve in curves.items():
        x = [row.settings[key] if numeric else str(row.settings[key]) for row in curve]
        heights, errors = zip(*((row.metrics[by], row.errors.get(by, 0.0)) for row in curve), strict=True)
        look = dict(label=titles[settings]) if settings in titles else dict(color="0.6")
        axes.errorbar(x, heights, errors, fmt="o-" if numeric else "o", capsize=3, **look)
    everything = [row.metrics[by] for curve in curves.values() for row in curve]
    if everything and 0 < 20 * min(everything) < max(everything):  # one bad value must not hide how others differ
        axes.set_yscale("log")
    if 1 < len(titles) <= CURVES:
        axes.legend(fontsize="x-small")
    axes.set_xlabel(key)
    axes.set_ylabel(by)
    axes.grid(alpha=0.3)


def _curves(rows: Sequence[Row], key: str) -> dict[tuple[tuple[str, str], ...], list[Row]]:
    """Rows that have the setting `key`, by all their other settings; a curve a group, where `key` is a number."""
    curves: dict[tuple[tuple[str, str], ...], list[Row]] = {}
    for row in rows:
        if key in row.settings:
            others = {name: str(value) for name, value in row.settings.items() if name != key}
            curves.setdefault(tuple(sorted(others.items())), []).append(row)
    return curves


def _titles(groups: Sequence[tuple[tuple[str, str], ...]]) -> dict[tuple[tuple[str, str], ...], str]:
    """A label for each group of settings, of as few leading settings as tell the groups apart."""
    names = list(dict.fromkeys(name for group in groups for name, _ in group))
    titles = [""] * len(groups)
    for count in range(len(names) + 1):
        shown = [[(name, value) for name, value in group if name in names[:count]] for group in groups]
        titles = [", ".join(f"{name.rpartition('.')[2]} {value}" for name, value in group) for group in shown]
        if len(set(titles)) == len(groups):
            break
    return dict(zip(groups, titles, strict=True))


def _numeric(rows: Sequence[Row], key: str) -> bool:
    values = [row.settings[key] for row in rows if key in row.settings]
    return all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values)


def _numeric_axis(axes: Axes, values: Sequence[float]) -> None:
    """Ticks at the values. The axis is logarithmic where the largest is at least ten times the smallest above 0."""
    sizes = [abs(value) for value in values if value]
    if sizes and max(sizes) >= 10 * min(sizes):
        axes.set_xscale("symlog", linthresh=min(sizes))
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()
