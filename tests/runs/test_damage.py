"""Finished stages that were damaged: refused by name, with what to type, and never taken for what they are not."""

import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest

from experiment_jax import load_run, train
from experiment_jax.runs import directory
from experiment_jax.runs.finished import finished_record, load_finished, save_finished

DAMAGES = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "soaking" / "damages.py"))["ALL"]


@pytest.fixture
def run(finished, tmp_path):
    return Path(shutil.copytree(finished[1], tmp_path / "run"))


@pytest.fixture(scope="module")
def other(finished, tmp_path_factory):
    """The stage `matching` of a run with another seed, as that run would have saved it."""
    copy = Path(shutil.copytree(finished[1], tmp_path_factory.mktemp("other") / "run"))
    frozen, record = load_finished(copy, "matching", dict)
    frozen["mean"] = frozen.get("mean", 0) + 1
    record["settings"] = {**record["settings"], "seed": 1}
    save_finished(copy, "matching", frozen, {**record, "seed": 1})
    return copy / "finished" / "matching"


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_stage_is_named_with_what_to_type(damage, run, other, tree, refused):
    folder = run / "finished" / "matching"
    damage(folder, "frozen", other, np.random.default_rng(0))
    before = tree(run)
    message = refused(load_run, run)
    assert message.startswith(f"{folder}: is damaged (") and f"type rm -r {folder} and train again" in message
    assert tree(run) == before


def test_what_is_typed_brings_the_stage_back(run, finished, one):
    record = finished_record(run, "matching")
    DAMAGES[2](run / "finished" / "matching", "frozen", None, np.random.default_rng(0))
    shutil.rmtree(run / "finished" / "matching")
    train(finished[0], run, one)
    assert finished_record(run, "matching") == record


def test_training_and_runs_that_take_the_stage_refuse_it_too(run, tiny, one, tmp_path, refused):
    DAMAGES[2](run / "finished" / "representation", "frozen", None, np.random.default_rng(0))
    assert "representation: is damaged" in refused(train, tiny(), run, one)
    taken = tiny(representation__from_run=str(run))
    assert "representation: is damaged" in refused(train, taken, tmp_path / "taker", one)
    assert not (tmp_path / "taker").exists()


def test_a_stage_from_before_records_had_digests_is_opened(run, finished):
    # What was known of a stage then: its arrays' digest, not where it belongs.
    for name in ("representation", "matching"):
        frozen, record = load_finished(run, name, dict)
        del record["settings"], record["proof"]
        save_finished(run, name, frozen, record)
    assert load_run(run).step == load_run(finished[1]).step


def test_a_kill_between_the_renames_of_a_replacement_loses_nothing(run):
    folder = run / "finished" / "matching"
    folder.rename(folder.with_name("matching.old"))
    assert load_run(run).step == 4
    frozen, record = load_finished(run, "matching", dict)
    save_finished(run, "matching", frozen, record)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["matching", "representation"]


def test_the_folder_of_the_data_does_not_decide_whose_a_stage_is(tiny):
    one, other = (
        directory.origin(tiny(data__name=name), "matching", {})
        for name in ("/here/some_digits/1.0.0", "/there/some_digits/1.0.0")
    )
    assert one == other and one != directory.origin(tiny(), "matching", {})
    assert directory.origin(tiny(matching__steps=9, matching__keep=4), "matching", {}) == directory.origin(
        tiny(), "matching", {}
    )
