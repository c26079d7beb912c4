"""`benchmarks/accelerator.py`: what it writes, what it refuses, and that a part fails alone. No time is asserted."""

import importlib
import json
import os
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
COMMAND = "benchmarks/accelerator.py"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The command sets these for its own process, which is the tests' here."""
    monkeypatch.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"])
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def found(out, letter):
    return json.loads((out / f"{letter}.json").read_text())


def test_parts_write_their_json_and_the_table(script, tmp_path):
    status, printed, _ = script(COMMAND, "--out", tmp_path, "--tiny", "--only", "c,d")
    assert status == 0
    transport, combinations = found(tmp_path, "c"), found(tmp_path, "d")
    assert transport["status"] == combinations["status"] == "done" and transport["machine"]
    assert [row["points"] for row in transport["rows"]] == [64] and transport["rows"][0]["ours, ms"] > 0
    assert [row["weights"] for row in combinations["rows"]] == ["uniform", "dirichlet"]
    table = (tmp_path / "table.md").read_text()
    assert table in printed and table.index("## (c)") < table.index("## (d)") and "| uniform | " in table
    assert {path.name for path in tmp_path.iterdir()} == {"c.json", "d.json", "table.md"}


def test_a_part_that_fails_is_recorded_and_the_next_runs(script, tmp_path, monkeypatch):
    def run(setting, report):
        report.row(points=3)
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory\nand so on")

    monkeypatch.setattr(importlib.import_module("parts.divergence"), "run", run)
    status, printed, _ = script(COMMAND, "--out", tmp_path, "--tiny", "--only", "c,d")
    failed = found(tmp_path, "c")
    assert status == 1 and failed["status"] == "failed" and failed["reason"] == "out of memory"
    assert failed["rows"] == [{"points": 3}] and found(tmp_path, "d")["status"] == "done"
    assert "Failed: out of memory" in printed


def test_parts_that_do_not_fit_are_skipped_with_the_reason(script, tmp_path):
    assert script(COMMAND, "--out", tmp_path, "--tiny", "--minutes", "0.001")[0] == 0
    for letter in "abgcdef":
        part = found(tmp_path, letter)
        assert part["status"] == "skipped" and "0 s are left" in part["reason"] and not part["rows"]


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--minutes", "0"], "0 is not a positive number"),
        (["--minutes", "soon"], "invalid minutes value: 'soon'"),
        (["--minutes", "nan"], "nan is not a positive number"),
        (["--skip", "z"], "there is no part 'z'"),
        (["--only", "a,"], "there is no part ''"),
        (["--only", "a", "--skip", "a"], "no part is left"),
        ([], "no accelerator here, JAX sees cpu; type --tiny to rehearse on it"),
    ],
)
def test_what_is_mistyped_is_one_line(script, tmp_path, flags, reason):
    status, printed, error = script(COMMAND, "--out", tmp_path / "out", *flags)
    assert status == 2 and not printed and error.count("\n") == 1 and reason in error
    assert error.startswith("accelerator.py: ") and not (tmp_path / "out").exists()


def test_the_peak_of_a_card_is_found_by_its_name():
    peak = importlib.import_module("parts.peaks").peak
    assert peak("NVIDIA H100 PCIe", "bfloat16") < peak("NVIDIA H100 80GB HBM3", "bfloat16")
    assert peak("NVIDIA A100-SXM4-80GB", "float32") == 156e12 and peak("TPU v5 lite", "bfloat16") == 197e12
    assert peak("NVIDIA L40S", "bfloat16") is None and peak("cpu", "float32") is None


def test_the_share_of_the_time_in_which_a_device_computes():
    """Spans may overlap, as on several streams, lie within one another, and come in any order."""
    busy = importlib.import_module("parts.trace").busy
    assert busy([(6, 10), (0, 4), (1, 2), (3, 5), (10, 11), (14, 20)]) == (0.8, 3)
    assert busy([(5, 7)]) == (1.0, 0.0)


def test_a_trace_tells_what_took_longest(tmp_path):
    compute = jax.jit(lambda x: jnp.sum(x @ x))
    x = jnp.ones((100, 100))
    told = importlib.import_module("parts.trace").told
    assert told(tmp_path, "cpu") is None
    with jax.profiler.trace(str(tmp_path)):
        for _ in range(3):
            compute(x).block_until_ready()
    said = told(tmp_path, "cpu")
    assert 0 < said["busy"] <= 1 and said["longest_gap_ms"] >= 0 and 0 < sum(said["operations"].values()) < 1.01
    assert told(tmp_path, "gpu") is None
