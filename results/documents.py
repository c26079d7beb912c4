"""Results read from their files, tables written in Markdown, and the documents that hold these tables."""

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
MARKED = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- /table -->)", re.DOTALL)
NUMBER = re.compile(r"-?[\d,]+(\.\d+)?")
Row = Mapping[str, Any]

# Columns that many tables have: header -> format, see `Table`.
KEYS = {
    "`nfe`": "{nfe:.0f}",
    "`fd_gen`": "{fd_gen:.3f}",
    "`fd_recon`": "{fd_recon:.3f}",
    "`fd_gen_vs_recon`": "{fd_gen_vs_recon:.3f}",
    "`accuracy_gen`": "{accuracy_gen:.3f}",
    "precision / recall": "{precision:.2f} / {recall:.2f}",
    "`spread`": "{spread:.3f}",
    "W₁ / floor": "{w1_ratio:.3f}",
    "`copied`": "{copied:.3f}",
    "`cas`": "{cas:.3f}",
    "`perceptual`": "{perceptual:.3f}",
    "`psnr`": "{psnr:.2f}",
    "`ssim`": "{ssim:.3f}",
    "`lr_consistency`": "{lr_consistency:.4f}",
    "`spread_skill`": "{spread_skill:.3f}",
    "`mean_psnr`": "{mean_psnr:.2f}",
    "`fidelity`": "{fidelity:.3f}",
}
SAMPLED = "`accuracy_gen`", "precision / recall", "`spread`", "W₁ / floor", "`copied`"
DISTANCES = "`fd_gen`", "`fd_recon`", "`fd_gen_vs_recon`"
RESTORED = "`fd_gen`", "`perceptual`", "`psnr`", "`ssim`", "`lr_consistency`"


class Written(str):
    """Text in a row where other rows have a number: the column's format does not apply to it."""

    def __format__(self, form: str) -> str:
        return str(self)


class Table(NamedTuple):
    """A table, and how it reads its rows.

    Attributes:
        columns: header -> format of a cell, as in "{precision:.2f} / {recall:.2f}". Where a row lacks a value the cell
            is empty.
        rows: the names that the formats use: metrics, and what is written in the row itself.
        smallest: headers of the columns whose smallest number is set in bold.
        across: the smallest of a row's `smallest` cells is bold, not of a column's.
        caption: whether a line below says the protocol and the judge of the rows; for rows of metrics.json.
    """

    columns: Mapping[str, str]
    rows: Sequence[Row]
    smallest: Sequence[str] = ()
    across: bool = False
    caption: bool = True


class Results:
    """Reads the results under a folder, and remembers which of them were read."""

    def __init__(self, folder: Path = ROOT / "results") -> None:
        self._folder = folder
        self.read: set[str] = set()

    def all(self) -> set[str]:
        """The names of all results."""
        return {path.parent.name for name in ("metrics.json", "sweep.csv") for path in self._folder.glob(f"*/{name}")}

    def run(self, name: str, **written: str) -> dict[str, Any]:
        """A row: the metrics and the seed of one run, and what is `written` beside them."""
        self.read.add(name)
        metrics = json.loads((self._folder / name / "metrics.json").read_text())
        config = json.loads((self._folder / name / "config.json").read_text())
        return {**_derived(metrics), "seed": config["seed"], **written}

    def sweep(self, name: str) -> dict[str, dict[str, float]]:
        """Rows: the numbers of each member of a sweep, by its name."""
        self.read.add(name)
        with (self._folder / name / "sweep.csv").open(newline="") as file:
            return {row["name"]: _derived(_numbers(row)) for row in csv.DictReader(file)}


def _numbers(row: Mapping[str, str]) -> dict[str, float]:
    numbers = {}
    for key, text in row.items():
        try:
            numbers[key] = float(text)
        except ValueError:  # a name, or empty
            continue
    return numbers


def _derived(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics, and the ratio of W₁ to its floor where they are there."""
    if "w1_latent" not in metrics:
        return dict(metrics)
    return {**metrics, "w1_ratio": metrics["w1_latent"] / metrics["w1_latent_floor"]}


def columns(*headers: str, **first: str) -> dict[str, str]:
    """Columns of what is written in the rows, by header, and those of KEYS with these headers."""
    return {**first, **{header: KEYS[header] for header in headers}}


def asked(rows: Mapping[str, str]) -> Table:
    """A table of what was asked, and what `reached` says of it."""
    pairs = [{"asked": what, "reached": cell} for what, cell in rows.items()]
    return Table({"asked": "{asked}", "reached": "{reached}"}, pairs, caption=False)


def reached(form: str, low: float = -math.inf, high: float = math.inf, **values: float) -> str:
    """Values by what they are of, "_" for one that needs no name; any outside of [low, high] is called missed."""

    def cell(name: str, value: float) -> str:
        text = form.format(value) + ("" if low <= value <= high else ", missed")
        return text if name == "_" else f"{name}: {text}"

    return "; ".join(cell(name, value) for name, value in values.items())


def markdown(table: Table) -> str:
    """The table's lines.

    Raises:
        ValueError: a column without a single value, or rows of different judges or protocols.
    """
    headers = list(table.columns)
    body = [[_cell(form, row) for form in table.columns.values()] for row in table.rows]
    for header, *column in zip(headers, *body, strict=True):
        if not any(column):
            raise ValueError(f"the column {header} is empty: no row has what {table.columns[header]} asks for")
    _embolden(body, [headers.index(header) for header in table.smallest], table.across)
    lines = [" | ".join(cells) for cells in (headers, ["---"] * len(headers), *body)]
    text = "".join(f"| {line} |\n" for line in lines)
    return text + (f"\n{_caption(table.rows)}\n" if table.caption else "")


def _cell(form: str, row: Row) -> str:
    try:
        return form.format_map(row)
    except KeyError:
        return ""


def _embolden(body: list[list[str]], columns: Sequence[int], across: bool) -> None:
    """Sets the smallest leading number of each of these columns in bold; with `across`, of these cells of each row."""
    places = [[(row, column) for row in range(len(body))] for column in columns]
    for group in zip(*places, strict=True) if across else places:
        found = {place: NUMBER.match(body[place[0]][place[1]]) for place in group}
        values = {place: float(match[0].replace(",", "")) for place, match in found.items() if match}
        row, column = min(values, key=values.get)
        body[row][column] = NUMBER.sub(r"**\g<0>**", body[row][column], count=1)


def _caption(rows: Sequence[Row]) -> str:
    """What the numbers of runs rest on; all must be under one judge and one protocol."""
    measured = [row for row in rows if "judge" in row]
    kinds = {(row["protocol"], row["num_samples"], row["judge"], row["fd_extractor"]) for row in measured}
    if len(kinds) != 1:
        raise ValueError(f"rows of different protocols or judges cannot stand in one table: {sorted(kinds)}")
    [(protocol, count, judge, extractor)] = kinds
    seeds = ", ".join(map(str, sorted({row["seed"] for row in measured})))
    return (
        f"`{protocol}`: {count:,} samples, seed {seeds}. Judge `{judge}`, {extractor.removeprefix('judge of ')}: "
        f"accuracy {measured[0]['accuracy_real']:.3f} on real images, `fd_floor` {measured[0]['fd_floor']:.3f}."
    )


def fill(text: str, tables: Mapping[str, str]) -> str:
    """A document, each marked table replaced by the one of that name."""
    return MARKED.sub(lambda found: found[1] + tables[found[2]] + found[3], text)


def documents(root: Path = ROOT) -> list[Path]:
    """README.md and the documents under docs/."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]
