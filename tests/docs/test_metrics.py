"""docs/metrics.md explains every key that evaluation and training write."""

import csv
import json
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "metrics.md").read_text()


def explained(heading):
    """A pattern of the keys in the table below a heading; `<title>` and the like stand for anything."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    keys = re.findall(r"`([^`]+)`", "\n".join(row.split(" | ")[0] for row in section.splitlines() if row[:3] == "| `"))
    patterns = [re.sub(r"<\w+>", ".+", re.escape(key)) for key in keys]
    assert len(keys) == len(set(keys)) > 10
    return re.compile("|".join(patterns))


def written():
    """Every key in results/, with the file that has it."""
    for path in sorted(PROJECT.glob("results/**/metrics.json")):
        yield from ((key, path) for key in json.loads(path.read_text()))
    for path in sorted(PROJECT.glob("results/**/sweep.csv")):
        keys = next(csv.reader(path.read_text().splitlines()))
        settings = {"name", "seed", "stages", "runs", "problems", *(key for key in keys if re.search(r"\.[a-z]", key))}
        yield from ((key.removesuffix("_se"), path) for key in keys if key not in settings)


def test_every_key_of_metrics_json_is_explained():
    pattern = explained("metrics.json")
    assert not {key: path for key, path in written() if not pattern.fullmatch(key)}


def test_every_key_of_a_row_is_explained(finished):
    pattern = explained("metrics.jsonl")
    rows = [json.loads(line) for line in (finished[1] / "metrics.jsonl").read_text().splitlines()]
    assert not {key for row in rows for key in row if not pattern.fullmatch(key)}
    assert {"validation_recon_l1", "validation_w1_latent", "converged"} <= {key for row in rows for key in row}


@pytest.mark.parametrize("heading", ["metrics.json", "metrics.jsonl"])
def test_every_row_says_which_way_is_better(heading):
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [row.split(" | ") for row in section.splitlines() if row.startswith("| `")]
    for _, better, *_ in rows:
        assert set(better) <= set("↑↓1—, "), better
