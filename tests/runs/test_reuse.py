"""What the identity of a stage depends on, and what it does not; stages taken from another run."""

import json
import shutil

import jax
import numpy as np
import pytest

from experiment_jax import load_config, load_run, train
from experiment_jax.data.load import load
from experiment_jax.method.build import build
from experiment_jax.runs import directory, reuse
from experiment_jax.runs.finished import finished_record, load_finished, save_finished
from experiment_jax.training.train import prepare
from lsdm_jax.representation import Representation

DIGESTS = {"representation": "1", "degradation": "2", "regression": "3"}  # what the stages before it froze


def identity(stage="matching", **overrides):
    """The identity of a stage of super-resolution, the stages before it being frozen alike."""
    changed = {key.replace("__", "."): value for key, value in overrides.items()}
    config = load_config("configs/lsdm_sr_digits.py:smoke", {"data.validation": 20, **changed})
    dataset = load(config.data, config.seed)
    [task] = [task for task in build(config, dataset) if task.name == stage]
    before = {name: DIGESTS[name] for name in config.stages[: config.stages.index(stage)]}
    return reuse.identity(task, dataset, before)


@pytest.mark.parametrize(
    "changed",
    [
        {"degradation__noise": 0.1},
        {"degradation__project": False},
        {"representation__kind": "vae"},
        {"representation__widths": (8, 16)},
        {"matching__condition_noise": 0.1},
        {"matching__steps": 3},
        {"matching__on_nonfinite": "skip"},
        {"data__flips": True},
        {"seed": 1},
    ],
)
def test_what_decides_a_stage_or_the_functions_before_it_is_in_its_identity(changed):
    assert identity(**changed) != identity()


@pytest.mark.parametrize(
    "changed",
    [
        {
            "matching__log_steps": 3,
            "matching__keep": 7,
            "matching__profile": (1, 2),
            "matching__analyse": True,
            "matching__checkpoint_percent": 9.0,
        },
        {"matching__from_run": "runs/other", "degradation__from_run": "runs/other"},
        {"representation__on_nonfinite": "skip"},
        {"degradation__log_epochs": 3.0, "representation__checkpoint_steps": 1, "representation__keep": 9},
        # Of a stage before it, what was trained with is in what was frozen.
        {"representation__steps": 3, "representation__optimiser.learning_rate": 0.5, "representation__batch_size": 10},
        {"evaluation__protocol": "test_90", "judge": "configs/judge_digits.py:cas"},
    ],
)
def test_what_decides_neither_is_not(changed):
    assert identity(**changed) == identity()


def test_where_the_best_checkpoint_is_kept_the_moments_of_checkpoints_decide():
    often = dict(matching__checkpoint_steps=1)
    assert identity(matching__best="energy", **often) != identity(matching__best="energy")
    assert identity(matching__best="energy", matching__log_steps=1) == identity(matching__best="energy")


def test_a_run_from_before_on_nonfinite_is_what_it_was_and_goes_on(finished, tiny, one, tmp_path):
    config, workdir = finished[0], shutil.copytree(finished[1], tmp_path / "run")
    written = json.loads((workdir / "config.json").read_text())
    for stage in config.stages:
        assert written[stage].pop("on_nonfinite") == "stop"
    (workdir / "config.json").write_text(json.dumps(written))
    old = directory.read_config(workdir)
    dataset = load(old.data, old.seed)
    for then, now in zip(build(old, dataset), build(config, dataset), strict=True):
        assert reuse.identity(then, dataset, DIGESTS) == reuse.identity(now, dataset, DIGESTS)
    assert directory.fingerprint(old) == directory.fingerprint(config)
    assert load_run(workdir).step == 4
    before = finished_record(workdir, "matching")
    assert_identical(train(config, workdir, one), dict(load_run(finished[1]).model.params))
    assert finished_record(workdir, "matching") == before
    taken = tiny(representation__from_run=str(workdir), stages=("representation",))
    assert train(taken, tmp_path / "taken", one).keys() == {"representation"}


def test_an_earlier_stage_does_not_know_those_after_it():
    for stage, changed in (("representation", {"degradation__noise": 0.1}), ("degradation", {"matching__width": 9})):
        assert identity(stage, **changed) == identity(stage)
    assert identity("degradation", degradation__noise=0.1) != identity("degradation")


def assert_identical(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.fixture
def source(finished, tmp_path):
    """A copy of a finished run that a test may change or remove."""
    return shutil.copytree(finished[1], tmp_path / "source")


def test_a_taken_stage_is_used_as_it_is_and_outlives_its_source(source, finished, tiny, one, tmp_path):
    workdir, config = tmp_path / "run", tiny(representation__from_run=str(source), stages=("representation",))
    frozen = train(config, workdir, one)
    here, there = (finished_record(each, "representation") for each in (workdir, source))
    assert here["digest"] == there["digest"] and here["from_run"] == str(source)
    assert not (workdir / "checkpoints" / "representation").exists()
    shutil.rmtree(source)
    assert_identical(frozen["representation"], load_run(finished[1]).model.params["representation"])
    assert_identical(train(config, workdir, one), frozen)
    assert_identical(dict(load_run(workdir).model.params), frozen)


def test_a_source_that_changed_is_refused(source, tiny, one, tmp_path, tree, refused):
    config = tiny(representation__from_run=str(source), stages=("representation",))
    train(config, tmp_path / "run", one)
    before = tree(tmp_path / "run")
    frozen, record = load_finished(source, "representation", Representation.Frozen)
    save_finished(source, "representation", frozen.replace(mean=frozen.mean + 1), record)
    assert "is not the stage that this run began with" in refused(train, config, tmp_path / "run", one)
    assert tree(tmp_path / "run") == before


@pytest.fixture
def refused_here(tiny, one, tmp_path, refused):
    """`refused_here(key__name=value, …)` -> the one line of what `train` says to that, with nothing written."""

    def attempt(**overrides):
        message = refused(train, tiny(**overrides), tmp_path / "run", one)
        assert not (tmp_path / "run").exists()
        return message

    return attempt


def test_a_stage_of_other_images_is_refused_with_the_setting_to_type(finished, refused_here):
    message = refused_here(representation__from_run=str(finished[1]), data__size=6)
    assert "was trained on images of data.size=None; type --config.data.size=None" in message


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"data__label": "label"}, "data.label=None; type --config.data.label=None"),
        ({"data__paired": 100}, "data.paired=None; type --config.data.paired=None"),
        ({"data__validation": 0}, "data.validation=20; type --config.data.validation=20"),
        ({"seed": 1}, "was trained on labels that seed=0 chose; type --config.seed=0"),
    ],
)
def test_other_labels_are_refused_where_a_stage_saw_labels(
    changed, reason, finished, tiny, one, tmp_path, refused_here
):
    source = str(finished[1])
    config = tiny(representation__from_run=source, **changed)
    assert prepare(config, tmp_path / "run", one).taken.keys() == {"representation"}  # it saw none
    message = refused_here(representation__from_run=source, matching__from_run=source, **changed)
    assert message.startswith(f"--config.matching.from_run={source}: ") and reason in message


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"representation__view": "paired"}, "was trained on view=all; type --config.representation.view=all"),
        ({"data__paired": 100, "data__unpaired": 50}, "data.unpaired=None; type --config.data.unpaired=None"),
    ],
)
def test_other_images_of_the_same_set_are_refused(changed, reason, finished, refused_here):
    assert reason in refused_here(representation__from_run=str(finished[1]), **changed)


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"representation__latent_size": 5}, ["(64, 3) there", "(64, 5) here"]),
        ({"representation__widths": (4, 6)}, ["decoder/Conv_0/bias (6,) here, (4,) there"]),
    ],
)
def test_a_stage_that_does_not_fit_shows_names_and_shapes(changed, shown, finished, refused_here):
    message = refused_here(representation__from_run=str(finished[1]), **changed)
    assert "from_run" in message and "decoder/" in message
    assert all(part in message for part in shown)


def test_a_stage_without_the_stages_that_it_was_trained_on_is_refused(finished, refused_here):
    assert "take these from the same run: representation" in refused_here(matching__from_run=str(finished[1]))


@pytest.mark.parametrize("source", ["nowhere", "empty"])
def test_a_source_that_is_no_run_is_refused(source, tmp_path, refused_here):
    (tmp_path / "empty").mkdir()
    assert str(tmp_path / source) in refused_here(representation__from_run=str(tmp_path / source))


def test_stages_of_a_run_from_before_a_setting_existed_are_taken(finished, tiny, one, tmp_path):
    source = shutil.copytree(finished[1], tmp_path / "source")
    config = json.loads((source / "config.json").read_text())
    del config["representation"]["vae"]
    (source / "config.json").write_text(json.dumps(config))
    config = tiny(representation__from_run=str(source), matching__from_run=str(source))
    assert prepare(config, tmp_path / "run", one).taken.keys() == {"representation", "matching"}
