"""How long stages trained: parts add up, a stage that is taken keeps its time, and nothing else is written."""

import json
import shutil

import pytest

from experiment_jax import train
from experiment_jax.training import clock


def test_the_parts_of_a_training_add_up_also_where_one_ends_in_an_error(tmp_path, monkeypatch):
    now = iter([10.0, 13.0, 20.0, 24.0])
    monkeypatch.setattr(clock.time, "perf_counter", lambda: next(now))
    with clock.running(tmp_path, "one"):
        pass
    with pytest.raises(KeyError), clock.running(tmp_path, "one"):
        raise KeyError
    assert clock.read(tmp_path) == {"one": 7.0}
    assert clock.total(tmp_path, ["one"]) == 7.0 and clock.total(tmp_path, ["one", "two"]) is None


@pytest.mark.parametrize("content", ["", "[1]", '{"one": "x"}', '{"one": null}', '{"one"'])
def test_a_damaged_file_says_nothing(tmp_path, content):
    (tmp_path / clock.FILE).write_text(content)
    assert clock.read(tmp_path) == {} and clock.total(tmp_path, ["one"]) is None


def test_where_the_seconds_cannot_be_written_training_does_not_end(tmp_path):
    (tmp_path / clock.FILE).mkdir()
    clock.add(tmp_path, "one", 3.0)
    assert clock.read(tmp_path) == {}


def test_a_stage_of_another_run_keeps_the_time_that_it_trained_there(finished, tiny, one, tmp_path):
    _, workdir = finished
    known = clock.read(workdir)
    assert known.keys() == {"representation", "matching"} and min(known.values()) > 0
    source = shutil.copytree(workdir, tmp_path / "source")
    (source / clock.FILE).write_text(json.dumps({"representation": 123.0, "matching": 1.0}))
    train(tiny(representation__from_run=str(source)), tmp_path / "run", one)
    assert clock.read(tmp_path / "run")["representation"] == 123.0


def test_a_finished_run_is_not_timed_again(finished, one, tmp_path):
    config, workdir = finished
    copy = shutil.copytree(workdir, tmp_path / "run")
    before = clock.read(copy)
    train(config, copy, one)
    assert clock.read(copy) == before
