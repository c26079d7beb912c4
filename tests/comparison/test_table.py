"""Ties, the best of a column, and the table as CSV, Markdown and cells."""

import csv
import io

import numpy as np
import pytest

from experiment_jax.comparison.table import (
    Row,
    best_of,
    cell,
    metrics_of,
    numbers,
    shown,
    to_csv,
    to_markdown,
)


def row(name, errors=None, problems=(), runs=1, settings=None, **values):
    return Row(name, settings or {}, None, values, errors or {}, runs, problems, np.zeros((4, 6, 3), np.uint8))


def test_the_best_comes_first_and_then_what_ties_with_it_and_not_with_another():
    given = [row("a", {"fd_gen": 0.1}, fd_gen=1.3), row("b", {"fd_gen": 0.1}, fd_gen=1.0)]
    given += [row("c", {"fd_gen": 0.1}, fd_gen=1.2), row("d", {"fd_gen": 0.1}, fd_gen=1.5)]
    assert best_of(given) == {"fd_gen": ["b", "c"]}
    # a would tie with c, which ties with b; it does not tie with b itself.


@pytest.mark.parametrize(
    ("metric", "better", "worse"),
    [("fd_gen", 0.1, 0.2), ("accuracy_gen_resnet8", 0.9, 0.8), ("spread", 1.1, 0.8), ("spread", 0.95, 1.1)],
)
def test_without_noise_one_is_best(metric, better, worse):
    assert best_of([row("a", **{metric: worse}), row("b", **{metric: better})]) == {metric: ["b"]}


def test_where_1_is_best_it_is_how_far_from_1_that_ties():
    errors = {"spread": 0.02}
    assert best_of([row("a", errors, spread=0.9), row("b", errors, spread=1.11)]) == {"spread": ["a", "b"]}
    assert best_of([row("a", errors, spread=0.9), row("b", errors, spread=1.2)]) == {"spread": ["a"]}


def test_what_one_row_has_alone_or_has_no_direction_has_no_best():
    assert best_of([row("a", fd_gen=1.0, step=3), row("b", step=4)]) == {}


def test_numbers_are_split_into_values_and_errors_without_texts_and_the_times_of_measuring():
    given = dict(judge="abc", fd_gen=0.5, fd_gen_se=0.1, odd_se=3.0, seconds=9.0, cas_seconds=2.0, seconds_se=1.0)
    assert numbers(given) == ({"fd_gen": 0.5, "odd_se": 3.0}, {"fd_gen": 0.1})
    assert numbers(dict(training_seconds=4.0, latents_per_second=9.0)) == ({"training_seconds": 4.0}, {})


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.123456, 0.0123, "0.123 ± 0.012"),
        (6123.6, 12.0, "6124 ± 12"),
        (0.98, 0.0, "0.98"),
        (1 / 3, None, "0.3333"),
    ],
)
def test_values_are_shown_with_as_many_digits_as_their_error_allows(value, error, text):
    assert shown(row("a", {} if error is None else {"fd_gen": error}, fd_gen=value), "fd_gen") == text


def test_the_csv_reads_back_to_the_last_digit():
    given = [row("a,b", {"fd_gen": 1 / 3}, ['x "y"'], 3, fd_gen=2 / 3), row("c", fd_gen=0.1)]
    first, second = csv.DictReader(io.StringIO(to_csv(given, metrics_of(given), with_runs=True)))
    assert (first["name"], first["runs"], first["problems"], float(first["fd_gen"])) == ("a,b", "3", 'x "y"', 2 / 3)
    assert float(first["fd_gen_se"]) == 1 / 3 and second["fd_gen_se"] == ""
    assert not {"runs", "problems"} & set(to_csv(given, ["fd_gen"]).splitlines()[0].split(","))


def test_markdown_has_a_line_a_row_and_the_best_in_bold():
    given = [row("a|b", {"fd_gen": 0.1}, fd_gen=1.0, spread=0.5), row("c", {"fd_gen": 0.1}, fd_gen=1.1, method="x")]
    assert to_markdown(given, [], ["fd_gen", "spread"], best_of(given)).splitlines() == [
        "|  | `fd_gen` ↓ | `spread` → 1 |",
        "| --- | ---: | ---: |",
        "| a\\|b | **1.00 ± 0.10** | 0.5 |",
        "| c | **1.10 ± 0.10** |  |",
    ]


def test_cells_sort_by_the_value_and_tell_the_best_from_ties():
    given = [row("a", {"fd_gen": 0.1}, fd_gen=1.02), row("b", {"fd_gen": 0.1}, fd_gen=1.01), row("c", fd_gen=9.0)]
    best = best_of(given)
    assert [cell(each, "fd_gen", best).kind for each in given] == ["best tie", "best", ""]
    assert cell(given[0], "fd_gen", best)[:2] == (1.02, "1.02 ± 0.10") and cell(given[0], "psnr", best)[:2] == ("", "")
