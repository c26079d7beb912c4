"""What a comparison writes: compare.html, compare.csv and compare.md."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from experiment_jax.comparison.contenders import Contender
from experiment_jax.comparison.explained import meanings, plain
from experiment_jax.comparison.table import TIMES, Row, cell, metrics_of, titled, to_csv, to_markdown
from experiment_jax.config.types import flat
from experiment_jax.data.load import title as title_of_data
from experiment_jax.drawing import pages
from experiment_jax.drawing.pages import Cell, Markup
from experiment_jax.evaluation import protocol as protocols
from experiment_jax.metrics.directions import MEANINGS, OWN, directed
from experiment_jax.metrics.noise import ERROR

REPEAT = "--repeats 3"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """All that the files say.

    Attributes:
        contenders: what is compared.
        rows: of the table, one each.
        metrics: of each, by name, as they were measured.
        best: see `best_of`; without what is measured against the runs' own latents, which does not compare.
        protocol: of all.
    """

    contenders: Sequence[Contender]
    rows: Sequence[Row]
    metrics: Mapping[str, Mapping[str, Any]]
    best: Mapping[str, Sequence[str]]
    protocol: str


def files(comparison: Comparison) -> dict[str, str]:
    """The content of each file, by its name."""
    rows = comparison.rows
    return {
        "compare.csv": to_csv(rows, metrics_of(rows)),
        "compare.md": markdown(comparison),
        "compare.html": page(comparison),
    }


def same_for_all(comparison: Comparison) -> dict[str, Any]:
    """What was measured and is the same for all, of what no value is best: judge, protocol, what real images get, …"""
    first, *others = comparison.metrics.values()
    return {
        key: value
        for key, value in first.items()
        if isinstance(value, str | int | float) and key not in TIMES and not key.endswith(ERROR)
        if directed(key) is None and all(key in each and each[key] == value for each in others)
    }


def columns(comparison: Comparison) -> list[str]:
    """The metrics of the table in the order in which they are read: the main ones, others, those without a best."""
    same, main = same_for_all(comparison), list(MEANINGS)

    def place(metric: str) -> tuple[bool, int]:
        kind = directed(metric)
        return kind is None, main.index(kind) if kind in main else len(main)

    return sorted((key for key in metrics_of(comparison.rows) if key not in same), key=place)


def markdown(comparison: Comparison) -> str:
    """The main metrics as a table, and below it what was measured how."""
    same, rows = same_for_all(comparison), comparison.rows
    main = [key for key in columns(comparison) if directed(key) and key.startswith(tuple(MEANINGS))]
    main = [key for key in main if key not in OWN]
    settings = [] if "method" in same else ["method"]
    table = to_markdown(rows, settings, main, comparison.best)
    facts = [f"`{key}` {plain(value)}" for key, value in same.items() if key != "step"]
    best = "Bold: the best of a column and what ties with it."
    return f"{table}\n{', '.join(facts)}.\n{' '.join([best, *notes(comparison)])}\n"


def notes(comparison: Comparison) -> list[str]:
    """Sentences on noise, and on whatever makes these numbers less than they seem."""
    runs = [each for each in comparison.contenders if each.config is not None]
    noisy = {row.name for row in comparison.rows if row.errors}
    said = []
    if noisy:
        said.append(
            "± is the standard error over seeds of the samples; values tie where they differ by less than twice the "
            "standard error of their difference. Two trainings of one config can differ by more."
        )
    if lacking := [each.name for each in runs if each.name not in noisy]:
        whose = f" of {_listed(lacking)}" if noisy else ""
        said.append(f"The noise{whose} is not known, so no tie can be told: type {REPEAT}.")
    if noisy and len(runs) < len(comparison.contenders):
        said.append("The noise of samples in files is not known; ties count the other's alone.")
    return said + _cautions(comparison, runs)


def _cautions(comparison: Comparison, runs: Sequence[Contender]) -> list[str]:
    count = protocols.parse(comparison.protocol)[1]
    said = [
        f"{each.name}: {count:,} of its {len(each.samples):,} images, chosen by chance."
        for each in comparison.contenders
        if each.samples is not None and len(each.samples) > count
    ]
    held_out = {(each.config.seed, each.config.data.validation) for each in runs}
    if comparison.protocol.startswith("validation") and len(held_out) > 1:
        said.append("The runs held out different images of train, and each is measured against its own.")
    if own := [key for key in columns(comparison) if key in OWN]:
        said.append(f"No best is marked of {_listed(own)}: each run is measured against what is its own.")
    return said


def page(comparison: Comparison) -> str:
    """The page."""
    same = same_for_all(comparison)
    sets = sum(each.config is None for each in comparison.contenders)
    counted = [(len(comparison.contenders) - sets, "run", "runs"), (sets, "set of samples", "sets of samples")]
    whose = _listed([f"{count} {one if count == 1 else many}" for count, one, many in counted if count])
    return pages.page(
        f"Comparison of {whose}, {title_of_data(next(iter(comparison.metrics.values()))['dataset'])}",
        _table(comparison),
        pages.bullets(notes(comparison)),
        pages.section("Samples side by side", _pictures(comparison)),
        pages.section("The same for all", pages.definitions({key: plain(value) for key, value in same.items()})),
        pages.section("What the metrics mean", meanings(columns(comparison))),
        pages.section("What differs in the configs", _configs(comparison.contenders)),
    )


def _table(comparison: Comparison) -> Markup:
    metrics = columns(comparison)
    settings = [] if "method" in same_for_all(comparison) else ["method"]
    lines = [
        [
            row.name,
            *(row.settings.get(key, "") for key in settings),
            *(cell(row, key, comparison.best) for key in metrics),
        ]
        for row in comparison.rows
    ]
    caption = (
        "Arrows point to where values are better. The best of a column is marked, and with ≈ what ties with it. "
        "A press on a column's name sorts by it."
    )
    return pages.table(["name", *settings, *map(titled, metrics)], lines, caption)


def _pictures(comparison: Comparison) -> Markup:
    """A row of images each, and what they are."""
    said = (
        "Two samples of each of the first ten classes, from the same keys for every run.",
        "Of super-resolution: two samples for each of ten low-resolution test images.",
        "Of a run that does not sample: reconstructions under their originals.",
    )
    figures = []
    for each, row in zip(comparison.contenders, comparison.rows, strict=True):
        caption = each.name
        if each.samples is not None:
            known = (each.samples.labels >= 0).all()
            caption += ": the first two of each class" if known else ": the first twenty; their labels are not known"
        figures.append(pages.figure(row.picture, f"samples of {each.name}", caption))
    return pages.join([pages.paragraph(*said), pages.strips(figures, "samples, a row each")])


def _configs(contenders: Sequence[Contender]) -> Markup:
    """Settings in which runs differ, a row a setting; nothing where there are no two runs."""
    runs = [each for each in contenders if each.config is not None]
    if len(runs) < 2:
        return Markup()
    differing = differences([each.config for each in runs])
    if not differing:
        return pages.paragraph("Nothing.")
    lines = [
        [key, *(Cell("", "—") if value is None else Cell("", pages.shortened(plain(value[0]))) for value in values)]
        for key, values in differing.items()
    ]
    caption = (
        "Equal settings are left out, and those of stages that one run alone has. A run without a setting has a —."
    )
    return pages.table(["setting", *(each.name for each in runs)], lines, caption, sorts=False)


def differences(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[Any] | None]]:
    """The dotted keys in which configs differ -> for each config (value,), or None where it has no such key.

    Configs without the section of a key do not count: that a stage is missing is told by `stages`.
    """
    flats = [flat(config) for config in configs]
    found = {}
    for key in dict.fromkeys(key for each in flats for key in each):
        section, dot, _ = key.partition(".")
        values = [(each[key],) if key in each else None for each in flats]
        having = [value for value, config in zip(values, configs, strict=True) if not dot or section in config]
        if any(value != having[0] for value in having):
            found[key] = values
    return found


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
