"""A disk that is full, or may only be read, from any write on: one line, and what was there stays."""

import errno
import resource
import runpy
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from experiment_jax.runs import saved
from experiment_jax.runs.checkpoints import Checkpoints
from experiment_jax.runs.finished import load_finished, save_finished
from experiment_jax.training.logger import read_metrics

Disk = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "soaking" / "disk.py"))["Disk"]


@pytest.fixture(scope="module")
def whole(problem, fit, tmp_path_factory):
    """(state, step, directory) of a training to the end."""
    workdir = tmp_path_factory.mktemp("whole")
    return *fit(problem(), workdir, drawn), workdir


def drawn(state):
    """A metric and a picture."""
    return {"score": float(state.params["w"].sum())}, {"picture": np.zeros((4, 5, 3), np.uint8)}


def test_training_ends_in_one_line_at_any_write_and_goes_on_to_the_same_end(
    problem, fit, whole, tmp_path, refused, assert_identical
):
    with Disk(tmp_path / "counted").mounted() as disk:
        fit(problem(), tmp_path / "counted", drawn)
    kinds = sorted(set(disk.writes), key=disk.writes.index)
    own = [kind for kind in kinds if "checkpoints/" not in kind]
    assert {kind.split("/")[0].split(".")[-1] for kind in own if kind.startswith("open")} == {
        "jsonl",
        "open tensorboard",
        "open pictures",
    }
    for number, kind in enumerate(own + [kind for kind in kinds if kind not in own][::5]):
        workdir, reason = tmp_path / str(number), (errno.ENOSPC, errno.EROFS)[number % 2]
        with Disk(workdir, disk.writes.index(kind), reason).mounted():
            assert ": cannot be written (" in refused(fit, problem(), workdir, drawn), kind
        if number % 3:  # one of three goes on, which takes longest
            continue
        # As another process finds it: threads of the write that failed may still be at work in this one.
        rest = shutil.ignore_patterns("*orbax-checkpoint-tmp*")
        found = shutil.copytree(workdir, tmp_path / f"{number}-again", ignore=rest) if workdir.exists() else workdir
        assert_identical(fit(problem(), found, drawn), whole[:2])
        assert read_metrics(found) == read_metrics(whole[2])


def test_a_later_write_that_fails_leaves_what_was_saved(problem, fit, whole, tmp_path, refused, assert_identical):
    with Disk(tmp_path / "counted").mounted() as disk:
        fit(problem(), tmp_path / "counted", drawn)
    last = len(disk.writes) - 1 - disk.writes[::-1].index("open checkpoints/linear/.orbax-checkpoint-tmp/files.json")
    with Disk(tmp_path / "run", last).mounted():
        message = refused(fit, problem(), tmp_path / "run", drawn)
    assert "checkpoints/linear: cannot be written (No space left on device)" in message
    assert saved.steps(tmp_path / "run", "linear") == [4, 8]
    assert_identical(fit(problem(), tmp_path / "run", drawn), whole[:2])


def test_arrays_that_cannot_be_written_are_told_in_one_line_too(problem, fit, tmp_path, refused):
    # TensorStore writes them, out of Python's sight: here files may not grow beyond some bytes.
    fit(problem(), tmp_path)
    big = {"w": np.random.default_rng(0).normal(size=100_000)}
    origin = {"stage": "linear", "upstream": {}, "settings": {}}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = Checkpoints(tmp_path / "big", origin, 2, "", big)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))

        def save():
            kept.save(1, big, {})
            kept.wait()

        assert "checkpoints/linear: cannot be written (File too large)" in refused(save)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        kept.close()
    assert saved.steps(tmp_path / "big", "linear") == []


def test_what_does_not_fit_is_not_begun(problem, fit, tmp_path, monkeypatch, refused):
    room = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: room._replace(free=10))
    assert "0 MB are needed, and fewer are free" in refused(fit, problem(), tmp_path)
    assert saved.steps(tmp_path, "linear") == []


def test_a_finished_stage_stays_where_another_cannot_take_its_place(tmp_path, refused):
    first, second = ({"w": np.full(3, value)} for value in (1.0, 2.0))
    save_finished(tmp_path, "linear", first, {"step": 1})
    with Disk(tmp_path).mounted() as disk:
        save_finished(tmp_path, "linear", first, {"step": 1})
    for number in range(0, len(disk.writes), 4):
        reason = (errno.ENOSPC, errno.EROFS)[number // 4 % 2]
        with Disk(tmp_path, number, reason).mounted():
            assert ": cannot be written (" in refused(save_finished, tmp_path, "linear", second, {"step": 2})
        frozen, record = load_finished(tmp_path, "linear", dict)
        assert record["step"] == 1 and jax.tree.all(jax.tree.map(np.array_equal, frozen, first))
