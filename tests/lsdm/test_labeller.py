"""Pseudo-labels: the pairs keep theirs, the rest get what a classifier of the pairs says, and matching sees both."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from experiment_jax import load_config, train
from experiment_jax.data import load
from experiment_jax.data.split import UNPAIRED, Dataset
from experiment_jax.method.build import Task, build
from lsdm_jax import sections

STAGES = ("labeller", "representation", "matching")


def labelled(tiny, **overrides):
    """Tiny LSDM on 100 pairs and 200 unpaired images, with a labeller that trains for long enough to know digits."""
    config = tiny(data__paired=100, data__unpaired=200, matching__view="partly", representation__steps=0, **overrides)
    with config.unlocked():
        config.labeller = sections.labeller(steps=40, batch_size=50, widths=(8, 16), dropout=0.0)
        config.stages = STAGES
    return config


@dataclasses.dataclass(frozen=True)
class Trained:
    workdir: Path
    config: ConfigDict
    dataset: Dataset
    tasks: Mapping[str, Task]
    frozen: Mapping[str, Any]

    @property
    def matching(self):
        """The task of the last stage, on the view that it trains on."""
        return self.tasks["matching"].relabelled({name: self.frozen[name] for name in STAGES[:2]})


@pytest.fixture(scope="module")
def trained(tiny, one, tmp_path_factory):
    config, workdir = labelled(tiny), tmp_path_factory.mktemp("labelled") / "run"
    frozen = train(config, workdir, one)
    dataset = load.load(config.data, config.seed)
    return Trained(workdir, config, dataset, {task.name: task for task in build(config, dataset)}, frozen)


def test_pairs_keep_their_labels_and_the_rest_get_the_classifier_s(trained):
    seen, real = trained.matching.view, trained.dataset.train
    np.testing.assert_array_equal(seen.images, real.images)
    given = real.labels != UNPAIRED
    np.testing.assert_array_equal(seen.labels[given], real.labels[given])
    images = jnp.asarray(real.images, jnp.float32) / 127.5 - 1
    said = np.asarray(trained.tasks["labeller"].stage.provides["label"](trained.frozen, images))
    np.testing.assert_array_equal(seen.labels[~given], said[~given])
    # It has learnt something: the labels that were hidden are found far more often than by chance.
    everything = load.read(trained.config.data, "train")[0]
    true = {image.tobytes(): label for image, label in zip(everything.images, everything.labels, strict=True)}
    hidden = [true[image.tobytes()] for image in seen.images[~given]]
    assert np.mean(seen.labels[~given] == hidden) > 0.5


def test_a_mixture_has_more_components_than_a_class_has_pairs(trained, tiny, one, tmp_path):
    config = labelled(tiny, matching__matcher="gmm", matching__steps=0, matching__gmm__components=11)
    config.labeller.from_run = config.representation.from_run = str(trained.workdir)
    frozen = train(config, tmp_path / "run", one)  # of 10 pairs a class
    assert frozen["matching"].sampler["means"].shape[:2] == (10, 11)


def test_batches_hold_images_of_both_kinds(trained):
    drawn = np.concatenate([trained.matching.indices(step)[0] for step in range(12)])
    kinds = trained.tasks["matching"].view.labels[drawn] == UNPAIRED
    assert 0 < kinds.mean() < 1


def test_partly_labelled_images_need_a_labeller(tiny, refused):
    config = tiny(data__paired=100, matching__view="partly")
    error = refused(build, config, load.load(config.data, config.seed))
    assert "needs a stage before it that labels the rest, such as labeller; type" in error


def test_a_labeller_gives_the_model_nothing_but_labels(trained):
    assert set(trained.tasks["labeller"].stage.provides) == {"label"}
    assert load_config("configs/study_unpaired.py:digits").matching.view == "paired"
