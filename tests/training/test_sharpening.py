"""Sharpening as a stage of a run: it never ends worse than it began, it is measured, and it resumes bit by bit."""

import pytest

from experiment_jax import Stopped, load_run, train
from experiment_jax.config.sections import perceptual
from experiment_jax.config.sections import sharpening as section
from experiment_jax.training.logger import read_metrics


@pytest.fixture(scope="module")
def recipe(tiny):
    """A tiny run that sharpens its representation before matching; `recipe(**changes)`."""

    def make(**changes):
        config = tiny(
            stages=("perceptual", "representation", "sharpening", "matching"),
            representation__steps=100,  # enough that a decoder out of control is worse
            representation__log_steps=100,
            representation__checkpoint_steps=100,
        )
        with config.unlocked():
            config.perceptual = perceptual(steps=2, widths=(4,), batch_size=16)
            config.sharpening = section(
                **{"steps": 6, "batch_size": 16, "adversary": dict(widths=(4,)), "checkpoint_steps": 2, **changes}
            )
        return config

    return make


def test_a_sharpening_that_does_harm_ends_where_it_began(recipe, tmp_path, one, assert_identical):
    frozen = train(recipe(optimiser=dict(learning_rate=1e3)), tmp_path / "run", one)
    rows = [row for row in read_metrics(tmp_path / "run") if row["stage"] == "sharpening"]
    measured = {row["step"]: row["validation_recon_frechet"] for row in rows if "validation_recon_frechet" in row}
    assert min(measured, key=measured.get) == 0 and len(measured) == 4
    assert_identical(frozen["sharpening"].decoder, frozen["representation"].decoder)


def test_without_validation_images_it_is_refused_before_anything_is_written(recipe, tmp_path, one, refused):
    config = recipe()
    config.data.validation = 0
    assert "--config.data.validation=100" in refused(train, config, tmp_path / "run", one)
    assert not (tmp_path / "run").exists()


def test_samples_are_decoded_by_the_sharpened_decoder(recipe, tmp_path, one, assert_identical):
    """Whether the stage stands before matching or after it."""
    stages = {"before": ("sharpening", "matching"), "after": ("matching", "sharpening")}
    drawn = {}
    for name, order in stages.items():
        config = recipe()
        config.stages = ("perceptual", "representation", *order)
        train(config, tmp_path / name, one)
        drawn[name] = load_run(tmp_path / name).sample([3, 7], seed=1)
    assert_identical(drawn["after"].images, drawn["before"].images)


def test_a_stop_changes_no_bit(recipe, tmp_path, one, stop_after, assert_identical):
    whole = train(recipe(), tmp_path / "whole", one)
    stop_after("sharpening", 3)
    with pytest.raises(Stopped, match="sharpening stopped at step 3 of 6"):
        train(recipe(), tmp_path / "parts", one)
    assert_identical(train(recipe(), tmp_path / "parts", one), whole)
