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
        smallest: headers of the columns whose smallest number is set in bold, and what ties with it: numbers written as
            "1.23 ± 0.01" tie where they differ by less than twice the standard error of their difference.
        across: the smallest of a row's `smallest` cells is bold, not of a column's.
        caption: whether a line below says the protocol and the judge of the rows; for rows of metrics.json.
        largest: headers of the columns whose largest number is set in bold, likewise.
    """

    columns: Mapping[str, str]
    rows: Sequence[Row]
    smallest: Sequence[str] = ()
    across: bool = False
    caption: bool = True
    largest: Sequence[str] = ()


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

    def sweep(self, name: str, file: str = "sweep.csv") -> dict[str, dict[str, float]]:
        """Rows: the numbers of each member of a sweep, by its name; of "runs.csv" those of each seed of a member."""
        self.read.add(name)
        with (self._folder / name / file).open(newline="") as text:
            return {row["name"]: _derived(_numbers(row)) for row in csv.DictReader(text)}


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


def markdown(table: Table, note: str = "") -> str:
    """The table's lines, and a line below them that begins with `note` and says what they rest on.

    Raises:
        ValueError: a column without a single value, or rows of different judges or protocols.
    """
    headers = list(table.columns)
    body = [[_cell(form, row) for form in table.columns.values()] for row in table.rows]
    for header, *column in zip(headers, *body, strict=True):
        if not any(column):
            raise ValueError(f"the column {header} is empty: no row has what {table.columns[header]} asks for")
    _embolden(body, [headers.index(header) for header in table.smallest], table.across)
    _embolden(body, [headers.index(header) for header in table.largest], sign=-1)
    lines = [" | ".join(cells) for cells in (headers, ["---"] * len(headers), *body)]
    text = "".join(f"| {line} |\n" for line in lines)
    noisy = any(" ± " in cell for cells in body for cell in cells)
    below = " ".join(filter(None, [note, _caption(table.rows, noisy) if table.caption else ""]))
    return text + (f"\n{below}\n" if below else "")


def _cell(form: str, row: Row) -> str:
    try:
        return form.format_map(row)
    except KeyError:
        return ""


def _embolden(body: list[list[str]], columns: Sequence[int], across: bool = False, sign: int = 1) -> None:
    """Sets the smallest leading number of each of these columns in bold, and what ties with it; with `across`, of these
    cells of each row; with sign −1 the largest."""
    places = [[(row, column) for row in range(len(body))] for column in columns]
    for group in zip(*places, strict=True) if across else places:
        found = {place: NUMBER.match(body[place[0]][place[1]]) for place in group}
        values = {place: _value_and_error(body[place[0]][place[1]]) for place, match in found.items() if match}
        best, error = min(values.values(), key=lambda each: sign * each[0])
        for (row, column), (value, own) in values.items():
            if value == best or abs(value - best) < 2 * math.hypot(own, error):
                body[row][column] = NUMBER.sub(r"**\g<0>**", body[row][column], count=1)


def _value_and_error(cell: str) -> tuple[float, float]:
    """Of "1.23 ± 0.01"; the error is 0 where there is none."""
    value, _, error = cell.partition(" ± ")
    numbers = [NUMBER.match(text) for text in (value, error)]
    return tuple(float(match[0].replace(",", "")) if match else 0.0 for match in numbers)


def _caption(rows: Sequence[Row], noisy: bool) -> str:
    """What the numbers of runs rest on; all must be under one judge and one protocol. `noisy`: they have errors."""
    measured = [row for row in rows if "judge" in row]
    kinds = {(row["protocol"], row["num_samples"], row["judge"], row["fd_extractor"]) for row in measured}
    if len(kinds) != 1:
        raise ValueError(f"rows of different protocols or judges cannot stand in one table: {sorted(kinds)}")
    [(protocol, count, judge, extractor)] = kinds
    first, seeds = measured[0], ", ".join(map(str, sorted({row["seed"] for row in measured})))
    said = (
        f"`{protocol}`: {count:,} samples, seed {seeds}. Judge `{judge}`, {extractor.removeprefix('judge of ')}: "
        f"accuracy {first['accuracy_real']:.3f} on real images, `fd_floor` {first['fd_floor']:.3f}."
    )
    if "extractor_vgg16" in first:
        # Floors agree to rounding: the order of sums differs from one number of cores to another.
        own = {
            (row["extractor_vgg16"], row.get("num_samples_vgg16", row["num_samples"]), round(row["fd_floor_vgg16"], 6))
            for row in measured
        }
        if len(own) != 1:
            raise ValueError(f"rows that VGG16 measured otherwise cannot stand in one table: {sorted(own)}")
        [(digest, count, floor)] = own
        said += f" VGG16 `{digest}`: {count:,} samples, `fd_floor_vgg16` {floor:.3f}."
    repeats = {row.get("repeats", 1) for row in measured}
    if repeats != {1}:
        error = ", ± their standard error" if noisy else ""
        said += f" Means over {max(repeats)} seeds of the samples{error}, of one training."
    return said


def fill(text: str, tables: Mapping[str, str]) -> str:
    """A document, each marked table replaced by the one of that name."""
    return MARKED.sub(lambda found: found[1] + tables[found[2]] + found[3], text)


def documents(root: Path = ROOT) -> list[Path]:
    """README.md and the documents under docs/."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]
