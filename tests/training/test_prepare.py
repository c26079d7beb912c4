"""What is refused before anything is written or trained."""

import dataclasses

import numpy as np
import pytest

from experiment_jax import train
from experiment_jax.data.load import load
from experiment_jax.data.split import Split
from experiment_jax.runs import directory
from experiment_jax.training.train import prepare


@pytest.mark.parametrize(
    "changed",
    [
        {"matching__sinkhorn.epsilon": 3.0},
        {"representation__steps": 8},
        {"seed": 1},
        {"data__validation": 30},
        {"matching__optimiser.learning_rate": 0.5},
    ],
)
def test_any_other_difference_is_refused_and_nothing_is_touched(changed, finished, tiny, one, tree, refused):
    _, workdir = finished
    before = tree(workdir)
    key = next(iter(changed)).replace("__", ".")
    message = refused(train, tiny(**changed), workdir, one)
    assert key in message and f"--config.{key}=" in message
    assert tree(workdir) == before


def test_a_directory_that_holds_something_else_is_refused(tiny, one, tmp_path, tree, refused):
    (tmp_path / "letter.txt").write_text("dear reader")
    before = tree(tmp_path)
    assert "holds no run" in refused(train, tiny(), tmp_path, one)
    assert tree(tmp_path) == before


def test_what_a_kill_during_the_first_write_leaves_is_no_obstacle(tiny, tmp_path):
    (tmp_path / ".123.config.json").write_text("{")
    assert directory.check(tmp_path, tiny()) == []


def test_the_best_by_a_metric_that_nobody_measures_is_refused_before_anything_is_written(tiny, one, tmp_path, refused):
    message = refused(train, tiny(matching__best="colour"), tmp_path / "run", one)
    assert "matching.best=colour" in message and "w1_latent, spread" in message
    none = tiny(matching__best="spread", data__validation=0)
    assert "data.validation=100" in refused(train, none, tmp_path / "run", one)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("validation", [10, 0, 20])
def test_too_few_validation_images_are_refused_before_anything_is_trained(validation, tiny, one, tmp_path, refused):
    config = tiny(data__validation=validation)
    if validation == 10:
        assert refused(train, config, tmp_path / "run", one) == (
            "data.validation=10: matching is measured by two images of each class or more, and class 0 has 1; "
            "type --config.data.validation=20, or 0 to measure nothing"
        )
    else:
        prepare(config, tmp_path / "run", one)
    # A stage that is not measured class by class does not need them, nor one that trains nothing.
    prepare(tiny(data__validation=validation, stages=("representation",)), tmp_path / "run", one)
    prepare(tiny(data__validation=validation, matching__matcher="gmm", matching__steps=0), tmp_path / "run", one)
    assert not (tmp_path / "run").exists()


def test_a_class_without_images_is_refused_before_anything_is_written(tiny, one, tmp_path, refused):
    config, workdir = tiny(data__validation=0), tmp_path / "run"
    whole = load(config.data, config.seed)
    without = whole.train.take(np.flatnonzero(whole.train.labels != 3))
    message = refused(train, config, workdir, one, dataclasses.replace(whole, train=without))
    assert message.startswith("matching: each batch holds every class, and class 3 has no image; ")
    message = refused(train, config, workdir, one, dataclasses.replace(whole, validation=without))
    assert "matching is measured by two images of each class or more, and class 3 has 0" in message
    strange = dataclasses.replace(whole, validation=Split(whole.train.images, whole.train.labels - 1))
    assert "some of its images have no class" in refused(train, config, workdir, one, strange)
    single = dataclasses.replace(whole, validation=whole.train.take(np.arange(1)))
    message = refused(train, tiny(stages=("representation",)), workdir, one, single)
    assert "data.validation=1: representation is measured by two images or more" in message
    assert not workdir.exists()


@pytest.mark.parametrize("config", [None, "configs/lsdm_digits.py", {}, 3])
def test_what_is_no_config_is_refused(config, one, tmp_path, refused):
    assert refused(prepare, config, tmp_path / "run", one).startswith("config=")
    assert not (tmp_path / "run").exists()


def test_no_devices_are_refused(tiny, tmp_path, refused):
    assert refused(prepare, tiny(), tmp_path / "run", []).startswith("devices: ")


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        ("experiment_jax.networks.perceptual:stage", "reads a setting that matching does not have: "),
        ("lsdm_jax.representation:stage", "reads a setting that matching does not have: "),
        ("experiment_jax.config.durations:keys", "is no factory of a stage"),
        ("experiment_jax.config.checks:widths", "is no factory of a stage"),
        ("experiment_jax.errors:UserError", "is no factory of a stage"),
        ("experiment_jax.config.numbers:LARGEST", "is no factory of a stage"),
    ],
)
def test_a_section_that_another_factory_is_to_build_is_refused(build, reason, tiny, one, refused, tmp_path):
    message = refused(train, tiny(matching__build=build), tmp_path / "run", one)
    assert message.startswith(f"matching.build={build}: {reason}") and not (tmp_path / "run").exists()
