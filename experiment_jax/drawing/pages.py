"""Pages: one HTML file with everything in it, which works without a network and on a narrow screen.

    page(title, parts)          the frame: style, headings, the script that sorts
    section, paragraph, bullets what the parts are made of
    definitions, code, folded   names and what they mean or are; a command; what is read on request
    table                       of cells, in a box that scrolls; sorted by the column whose button is pressed
    figure, gallery             pictures: one, several in a flow
    series, strips              one after another in a row that scrolls; long rows that scroll together

Whatever is no `Markup` is text, and is escaped.
"""

import base64
import html
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 80rem; color: #222; }
h1 { font-size: 1.4rem; line-height: 1.3; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
p, li, dd { max-width: 46rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } .scroll:focus-visible, button:focus-visible { outline: 2px solid #1a5fb4; }
table { border-collapse: collapse; white-space: nowrap; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .5rem; }
caption span { display: block; position: sticky; left: 0; white-space: normal; width: min(46rem, calc(100vw - 3rem)); }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #ddd; text-align: right; vertical-align: baseline; }
thead th { border-bottom-color: #888; }
th:first-child { text-align: left; position: sticky; left: 0; background: #fff; padding-left: 0; }
tbody th { font-weight: 400; }
thead button { all: unset; cursor: pointer; padding: .2rem 0; } thead button:hover { text-decoration: underline; }
[aria-sort=ascending] button::after { content: " ▲"; } [aria-sort=descending] button::after { content: " ▼"; }
.best, .chosen th:first-child { background: #e3f1e3; } .best { font-weight: 700; }
.tie { font-weight: 400; } .tie::before { content: "≈ "; }
.problem { color: #a02020; white-space: normal; text-align: left; min-width: 18rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dt { font-weight: 600; } dd { margin: 0; }
figure { margin: 0 0 1rem; } figcaption { overflow-wrap: anywhere; } figure img { max-width: 100%; height: auto; }
.gallery { display: flex; flex-wrap: wrap; gap: 1rem; }
.series { display: flex; gap: 1rem; } .series figure { flex: none; } .series img { max-width: none; display: block; }
.strips figure { width: max-content; } .strips img { max-width: none; display: block; image-rendering: pixelated; }
.strips figcaption { position: sticky; left: 0; width: fit-content; max-width: min(60rem, calc(100vw - 3rem)); }
ul { padding-left: 1.2rem; } pre { white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; } summary:focus-visible { outline: 2px solid #1a5fb4; }
@media (min-width: 40.01rem) { wbr { display: none; } }
@media (max-width: 40rem) {
  table { font-size: .9rem; }
  tbody th { white-space: normal; overflow-wrap: anywhere; min-width: 7rem; max-width: 40vw; }
  .series img { max-width: 75vw; height: auto; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .6rem; }
}
"""
SCRIPT = """
const order = (a, b) => isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
for (const button of document.querySelectorAll("thead button")) button.addEventListener("click", () => {
  const th = button.parentElement, body = th.closest("table").tBodies[0];
  const down = th.getAttribute("aria-sort") === "ascending";
  for (const other of th.parentElement.cells) other.removeAttribute("aria-sort");
  th.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = row => row.cells[th.cellIndex].dataset.value;
  body.append(...[...body.rows].sort((a, b) =>
    value(a) === "" || value(b) === "" ? (value(a) === "") - (value(b) === "")
    : (down ? -1 : 1) * order(value(a), value(b))));
});
"""
LONGEST = 48  # characters of a setting that a table shows


class Markup(str):
    """Text that is HTML already."""


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
        value: what a column is sorted by; an empty one comes last.
        shown: what is read; None: the value.
        kind: "best", "best tie", "problem" or "".
    """

    value: Any
    shown: Any = None
    kind: str = ""


def text(value: Any) -> Markup:
    """Any value as HTML: escaped, unless it is HTML already."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value)))


def join(parts: Sequence[Any], between: str = "") -> Markup:
    """The parts, one after another."""
    return Markup(between.join(map(text, parts)))


def page(title: str, *parts: Any) -> str:
    """The whole file: the title as its heading, then the parts."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{text(title)}</h1>
{join(parts, chr(10))}
<script>{SCRIPT}</script>
</body>
</html>
"""


def section(title: str, *parts: Any) -> Markup:
    """A heading and what stands below it; nothing where there is nothing to stand there."""
    return join([Markup(f"<h2>{text(title)}</h2>"), *parts], "\n") if any(parts) else Markup()


def paragraph(*sentences: Any) -> Markup:
    """Sentences, as one paragraph; nothing where there is none."""
    return Markup(f"<p>{join(sentences, ' ')}</p>") if any(sentences) else Markup()


def bullets(points: Sequence[Any]) -> Markup:
    """A list of sentences; nothing where there is none."""
    return Markup(f"<ul>{''.join(f'<li>{text(point)}</li>' for point in points)}</ul>") if points else Markup()


def definitions(entries: Mapping[str, Any]) -> Markup:
    """Names, each with what it means or is."""
    return Markup(
        f"<dl>{''.join(f'<dt>{text(name)}</dt><dd>{text(said)}</dd>' for name, said in entries.items())}</dl>"
    )


def code(command: str) -> Markup:
    """A command, to be copied."""
    return Markup(f"<pre><code>{text(command)}</code></pre>")


def folded(title: str, *parts: Any) -> Markup:
    """Parts that are seen once their title is pressed; nothing where there is none."""
    inside = join(parts, "\n")
    return Markup(f"<details><summary>{text(title)}</summary>\n{inside}\n</details>") if any(parts) else Markup()


def shortened(value: Any) -> Markup:
    """A value as text, its middle left out where it is long; the whole is its tooltip."""
    whole = str(value)
    if len(whole) <= LONGEST:
        return text(whole)
    half = LONGEST // 2 - 1
    return Markup(f'<span title="{text(whole)}">{text(f"{whole[:half]} … {whole[-half:]}")}</span>')


def table(
    head: Sequence[Any], rows: Sequence[Sequence[Any]], caption: str, *, sorts: bool = True, chosen: int | None = None
) -> Markup:
    """A table in a box that scrolls if it is too wide; the first column stays in sight and names the rows.

    Args:
        head: the columns' names.
        rows: of cells, as many each as there are columns; what is no `Cell` is the value of one. First comes a name.
        caption: what the table is, above it.
        sorts: whether pressing a column's name sorts by it.
        chosen: the number of a row to mark.
    """
    names = (f'<button type="button">{text(name)}</button>' if sorts else text(name) for name in head)
    lines = []
    for number, row in enumerate(rows):
        name, *others = (each if isinstance(each, Cell) else Cell(each) for each in row)
        mark = ' class="chosen"' if number == chosen else ""
        cells = _cell(Cell(name.value, _breakable(name.value)), "th", sorts) + "".join(
            _cell(each, "td", sorts) for each in others
        )
        lines.append(f"<tr{mark}>{cells}</tr>")
    head_line = "".join(f'<th scope="col">{name}</th>' for name in names)
    return _scrolling(
        caption,
        f"<table><caption><span>{text(caption)}</span></caption>\n<thead><tr>{head_line}</tr></thead>\n"
        f"<tbody>\n{chr(10).join(lines)}\n</tbody></table>",
    )


def _breakable(name: Any) -> Markup:
    """A name that may be broken between its parts."""
    return Markup(re.sub(r"([_./])", r"\1<wbr>", text(name)))


def _cell(cell: Cell, tag: str, sorts: bool) -> str:
    scope = ' scope="row"' if tag == "th" else ""
    kind = f' class="{cell.kind}"' if cell.kind else ""
    value = f' data-value="{text(str(cell.value))}"' if sorts else ""
    return f"<{tag}{scope}{kind}{value}>{text(cell.value if cell.shown is None else cell.shown)}</{tag}>"


def _scrolling(name: str, content: str, kind: str = "") -> Markup:
    """A box that scrolls sideways, which a keyboard reaches."""
    return Markup(f'<div class="scroll{kind}" role="region" tabindex="0" aria-label="{text(name)}">\n{content}\n</div>')


def figure(picture: np.ndarray, alt: str, caption: Any = "") -> Markup:
    """A picture uint8 `[height, width, 3]` within the page itself, and a line that says what it is.

    Args:
        picture: the pixels.
        alt: what it shows, for who does not see it.
        caption: the line above it; "": none.
    """
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    data = base64.b64encode(file.getvalue()).decode()
    height, width = picture.shape[:2]
    line = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    image = f'<img alt="{text(alt)}" width="{width}" height="{height}" src="data:image/png;base64,{data}">'
    return Markup(f"<figure>{line}{image}</figure>")


def gallery(figures: Sequence[Markup]) -> Markup:
    """Figures beside each other, as many as there is room for; nothing where there is none."""
    return Markup(f'<div class="gallery">{join(figures)}</div>') if figures else Markup()


def series(figures: Sequence[Markup], name: str) -> Markup:
    """Figures beside each other in one row, which scrolls where it is too wide; nothing where there is none.

    Args:
        figures: in their order.
        name: what they are, for who does not see them.
    """
    return _scrolling(name, f'<div class="series">{join(figures)}</div>') if figures else Markup()


def strips(figures: Sequence[Markup], name: str) -> Markup:
    """Figures whose columns belong together, below each other in a box where all scroll at once; pixels stay sharp.

    Args:
        figures: each wide and low.
        name: what they are, for who does not see them.
    """
    return _scrolling(name, join(figures, "\n"), " strips") if figures else Markup()
