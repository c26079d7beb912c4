"""Trackers: what they get, and what is refused. Stand-ins of the packages note what is done with them."""

import json
import sqlite3
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from experiment_jax import train
from experiment_jax.config.types import to_json
from experiment_jax.runs.finished import finished_record
from experiment_jax.sweep.members import define
from experiment_jax.sweep.train import train_members
from experiment_jax.training.logger import read_metrics

PACKAGE = """
import json

NOTES = {notes!r}
LOGGED_IN = {logged_in}

def note(*what):
    with open(NOTES, "a") as file:
        file.write(json.dumps(what, default=str) + "\\n")

class Image:
    def __init__(self, pixels):
        assert pixels.ndim == 3 and pixels.dtype == "uint8"

    def __str__(self):
        return "a picture"

class Run:
    def define_metric(self, name, step_metric):
        note("define", name, step_metric)

    def log(self, row, step=None):
        {log}
        note("log", row, step)

    def finish(self):
        print("finished")
        note("finish")

def Settings(**own):
    return own

def login(prompt, verify):
    return LOGGED_IN

def get_token():
    return LOGGED_IN or None

def init(**own):
    print("welcome")
    {init}
    note("init", own)
    return Run()
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """`package(name, …)` stands in for a package that is installed; gives a function that reads what was noted."""
    monkeypatch.syspath_prepend(tmp_path / "packages")
    (tmp_path / "packages").mkdir()

    def install(name, logged_in=True, init="", log=""):
        notes = tmp_path / f"{name}.notes"
        content = PACKAGE.format(notes=str(notes), logged_in=logged_in, init=init or "pass", log=log or "pass")
        (tmp_path / "packages" / f"{name}.py").write_text(content)
        sys.modules.pop(name, None)
        return lambda: [json.loads(line) for line in notes.read_text().splitlines()] if notes.is_file() else []

    for name in ("WANDB_MODE", "TRACKIO_SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    yield install
    for name in ("wandb", "trackio", "huggingface_hub"):
        sys.modules.pop(name, None)


def digests(workdir):
    return [finished_record(workdir, name)["digest"] for name in ("representation", "matching")]


@pytest.mark.parametrize("kind", ["wandb", "trackio"])
def test_a_tracker_gets_the_rows_and_pictures_and_the_run_is_what_it_is_without(
    kind, package, tiny, finished, one, tmp_path, capsys
):
    noted = package(kind)
    train(tiny(tracker=kind), tmp_path / "run", one)
    assert digests(tmp_path / "run") == digests(finished[1])
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == (finished[1] / "metrics.jsonl").read_bytes()
    (begin, own), *rest, (end,) = noted()
    assert (begin, end) == ("init", "finish") and own["config"]["matching.width"] == 8 and own["group"] is None
    logs = [what[1:] for what in rest if what[0] == "log"]
    for (row, step), told in zip(logs, read_metrics(tmp_path / "run"), strict=True):
        stage = told.pop("stage")
        pictures = {key for key, value in row.items() if value == "a picture"}
        assert {key: row[key] for key in row.keys() - pictures} == {f"{stage}/{key}": told[key] for key in told}
        assert step == (told["step"] if kind == "trackio" else None)
        assert (
            pictures == ({f"{stage}/samples"} if stage == "matching" else {f"{stage}/reconstructions"}) or not pictures
        )
    assert sum("a picture" in row.values() for row, _ in logs) == 6  # each stage at steps 0, 2 and 4
    if kind == "wandb":
        assert own["mode"] == "offline" and str(own["dir"]) == str(tmp_path / "run")
        assert ["define", "matching/*", "matching/step"] in noted()
    output = capsys.readouterr()
    assert output.out == "" and "welcome" in output.err


def test_a_run_that_goes_on_stays_one_run_and_its_tracker_may_change(package, tiny, one, tmp_path):
    noted, others = package("wandb"), package("trackio")
    for tracker, steps in (("wandb", 2), ("none", 4), ("trackio", 6), ("wandb", 8)):
        train(tiny(tracker=tracker, matching__steps=steps), tmp_path / "run", one)
    first, second = [what[1] for what in noted() if what[0] == "init"]
    assert first["id"] == second["id"] and first["resume"] == "allow"
    [other] = [what[1] for what in others() if what[0] == "init"]
    assert other["name"] == f"run-{first['id']}"
    train(tiny(matching__steps=8), tmp_path / "plain", one)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["tracker"] == "wandb"
    assert (
        finished_record(tmp_path / "run", "representation")["identity"]
        == (finished_record(tmp_path / "plain", "representation")["identity"])
    )


SWEPT = """
from pathlib import Path
from experiment_jax.config.types import from_json

def get_config():
    return from_json(Path({config!r}).read_text())

def sweep():
    yield "a", {{}}
"""


def test_members_of_a_sweep_are_a_group(package, tiny, one, tmp_path):
    noted = package("wandb")
    (tmp_path / "config.json").write_text(to_json(tiny(tracker="wandb", stages=("representation",))))
    path = tmp_path / "small.py"
    path.write_text(SWEPT.format(config=str(tmp_path / "config.json")))
    train_members(define(str(path), {}, tmp_path / "sweep", seeds=None, members=True), devices=one)
    train_members(define(str(path), {}, tmp_path / "seeds", seeds=2, members=True), devices=one)
    begun = [what[1] for what in noted() if what[0] == "init"]
    assert [(own["name"], own["group"]) for own in begun] == [
        ("a", "sweep"), ("a-seed0", "seeds/a"), ("a-seed1", "seeds/a"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["wandb", "trackio"])
def test_what_cannot_be_tracked_is_refused_before_anything_is_written(
    kind, package, tiny, one, tmp_path, refused, monkeypatch
):
    monkeypatch.setitem(sys.modules, kind, None)  # as if it were not installed
    message = refused(train, tiny(tracker=kind), tmp_path / "run", one)
    assert message == f"tracker={kind}: the package is not installed; type pip install {kind}"
    assert "choose one of none, wandb, trackio" in refused(train, tiny(tracker="mlflow"), tmp_path / "run", one)
    package(kind, logged_in=False)
    package("huggingface_hub", logged_in=False)
    train(tiny(tracker=kind, stages=("representation",)), tmp_path / "offline", one)  # which needs no login
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("TRACKIO_SPACE_ID", "somebody/space")
    assert f"tracker={kind}: nobody is logged in; type " in refused(train, tiny(tracker=kind), tmp_path / "run", one)
    assert not (tmp_path / "run").exists()


def test_a_tracker_that_cannot_begin_is_refused_and_one_that_fails_later_ends_no_training(
    package, tiny, finished, one, tmp_path, refused, caplog
):
    package("wandb", init="raise OSError('no network\\nat all')")
    message = refused(train, tiny(tracker="wandb"), tmp_path / "run", one)
    assert message.startswith("tracker=wandb: no network") and message.endswith("type --config.tracker=none")
    package("wandb", log="raise OSError('gone')")
    train(tiny(tracker="wandb"), tmp_path / "run", one)
    assert caplog.messages.count("tracker=wandb: gets no more of this run (gone)") == 1
    assert digests(tmp_path / "run") == digests(finished[1])


REAL = """
import sys
from experiment_jax import load_config, train
train(load_config("lsdm_digits:smoke", {"tracker": sys.argv[1], "stages": ("representation",)}), sys.argv[2])
"""


@pytest.mark.parametrize("kind", ["wandb", "trackio"])
def test_the_package_itself_keeps_it_all_on_this_machine(kind, tmp_path):
    if find_spec(kind) is None:
        pytest.skip(f"needs the package {kind}, which is not installed")
    environment = {"TRACKIO_DIR": str(tmp_path / "trackio"), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", REAL, kind, str(tmp_path / "run")]
    for _ in range(2):  # the second finds all finished
        done = subprocess.run(
            command,
            env=environment | {"PATH": "", "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 and done.stdout == "", done.stderr
    if kind == "wandb":
        assert list((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))
        return
    with sqlite3.connect(tmp_path / "trackio" / "lsdm-jax.db") as found:
        rows = found.execute("select run_name, step, metrics from metrics order by id").fetchall()
    assert [step for _, step, _ in rows] == [row["step"] for row in read_metrics(tmp_path / "run")]
    assert len({name for name, _, _ in rows}) == 1
    assert np.isfinite(json.loads(rows[-1][2])["representation/loss"])
