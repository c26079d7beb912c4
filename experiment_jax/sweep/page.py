"""sweep.html: one file with everything in it, a table that sorts, a plot a setting and a row of pictures a member."""

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from experiment_jax.drawing import plots
from experiment_jax.sweep.table import Row, best_of, metrics_of, settings_of

CURVES = 8  # more have no legend
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  body {{ font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 76rem; color: #222; }}
  h1 {{ font-size: 1.3rem; overflow-wrap: anywhere; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
  .scroll {{ overflow-x: auto; }}
  table {{ border-collapse: collapse; white-space: nowrap; font-variant-numeric: tabular-nums; }}
  th, td {{ padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: right; }}
  th:first-child, td:first-child {{ text-align: left; position: sticky; left: 0; background: #fff; }}
  th button {{ all: unset; cursor: pointer; font-weight: 600; }} th button:focus-visible {{ outline: 2px solid; }}
  th[aria-sort=ascending] button::after {{ content: " ▲"; }} th[aria-sort=descending] button::after {{ content: " ▼"; }}
  .best {{ font-weight: 700; background: #e3f1e3; }} .chosen td:first-child {{ background: #e3f1e3; }}
  .problem {{ color: #a02020; white-space: normal; text-align: left; min-width: 18rem; }}
  .plots {{ display: flex; flex-wrap: wrap; gap: 1rem; }} img {{ max-width: 100%; }}
  figure {{ margin: 0 0 1rem; }} figcaption {{ overflow-wrap: anywhere; }} .row img {{ image-rendering: pixelated; }}
</style>
<h1>{title}</h1>
<p>{summary}</p>
<div class="scroll"><table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody></table></div>
<p>The best of a column is marked. A click on its name sorts by it.</p>
<h2>Metrics against settings</h2>
<div class="plots">{plots}</div>
<h2>Pictures, from the same keys</h2>
{pictures}
<script>
  const table = document.querySelector("table");
  const order = (a, b) => isNaN(a) || isNaN(b) ? String(a).localeCompare(b) : a - b;
  table.querySelectorAll("th").forEach((th, column) => th.addEventListener("click", () => {{
    const down = th.getAttribute("aria-sort") === "ascending";
    table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
    th.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = row => row.cells[column].dataset.value;
    const rows = [...table.tBodies[0].rows].sort((a, b) =>
      value(a) === "" || value(b) === "" ? (value(a) === "") - (value(b) === "")
      : (down ? -1 : 1) * order(value(a), value(b)));
    table.tBodies[0].append(...rows);
  }}));
</script>
</html>
"""


def page(spec: str, rows: Sequence[Row], metrics: Sequence[str], best: Row | None) -> str:
    """The page.

    Args:
        spec: the config that was swept.
        rows: of the table.
        metrics: those to plot; the first says which member is best.
        best: the best row by it; None: nothing was measured.
    """
    by = metrics[0]
    settings, winners = settings_of(rows), best_of(rows)
    others = [key for key in metrics_of(rows) if key != by]
    columns = ["name", by, *settings, "runs", *others, *(["problems"] if any(row.problems for row in rows) else [])]
    body = []
    for row in rows:
        cells = [_cell(row.name), _metric(row, by, winners)]
        cells += [*(_cell(row.settings.get(key, "")) for key in settings), _cell(row.runs)]
        cells += [_metric(row, key, winners) for key in others]
        cells += [_cell("; ".join(row.problems), "problem")] if columns[-1] == "problems" else []
        body.append(f"<tr{' class=chosen' if row is best else ''}>{''.join(cells)}</tr>")
    summary = f"{len(rows)} members. "
    if best is not None:
        summary += f"Best by {by}: {best.name}, {_number(best.metrics[by])}{_error(best, by)}."
    pictures = [
        f'<figure class="row"><figcaption>{_text(row.name)}</figcaption>{_image(row.picture, row.name)}</figure>'
        for row in rows
        if row.picture is not None
    ]
    return PAGE.format(
        title=f"Sweep of {_text(spec)}",
        summary=_text(summary),
        head="".join(f"<th><button>{_text(column)}</button></th>" for column in columns),
        body="\n".join(body),
        plots="".join(_image(plot(rows, *panel), " against ".join(panel)) for panel in panels(rows, metrics)),
        pictures="\n".join(pictures),
    )


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


def _metric(row: Row, key: str, winners: Mapping[str, str]) -> str:
    if key not in row.metrics:
        return _cell("")
    value = row.metrics[key]
    return _cell(value, "best" if winners.get(key) == row.name else "", f"{_number(value)}{_error(row, key)}")


def _error(row: Row, key: str) -> str:
    return f" ± {row.errors[key]:.2g}" if row.errors.get(key) else ""


def _cell(value: Any, kind: str = "", shown: str | None = None) -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<td{attribute} data-value="{_text(value)}">{_text(value if shown is None else shown)}</td>'


def _number(value: float) -> str:
    return f"{value:.4g}"


def _text(value: Any) -> str:
    return html.escape(str(value))


def _image(picture: np.ndarray, title: str) -> str:
    """A picture uint8 `[height, width, 3]` within the page itself."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    return f'<img alt="{_text(title)}" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'
