"""Pseudo-labels: the pairs keep theirs, the rest get what a classifier of the pairs says, and matching sees both."""

import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax import UserError, load_config, train
from experiment_jax.data import split as data
from experiment_jax.data.split import UNPAIRED
from experiment_jax.devices import placement as parallel
from experiment_jax.method import build as method
from experiment_jax.training import step as program
from lsdm_jax import sections

STAGES = ("labeller", "representation", "matching")


@pytest.fixture
def config(tiny):
    """Tiny LSDM on 100 pairs and 60 unpaired images, whose labeller is trained for long enough to know digits."""
    built = tiny(data__paired=100, data__unpaired=60, matching__view="partly")
    with built.unlocked():
        built.labeller = sections.labeller(steps=80, batch_size=50, widths=(16, 32), dropout=0.0)
        built.stages = STAGES
    return built


def test_pairs_keep_their_labels_and_the_rest_get_the_classifier_s(config, one, tmp_path):
    frozen = train(config, tmp_path / "run", one)
    dataset = data.load(config.data, config.seed)
    parts = {part.name: part for part in method.build(config, dataset)}
    job = method.job(parts["matching"], config, parallel.mesh(one))
    upstream = {name: frozen[name] for name in STAGES[:2]}
    seen = job.relabelled(upstream).view
    np.testing.assert_array_equal(seen.images, dataset.train.images)
    given = dataset.train.labels != UNPAIRED
    np.testing.assert_array_equal(seen.labels[given], dataset.train.labels[given])
    images = jnp.asarray(dataset.train.images, jnp.float32) / 127.5 - 1
    said = np.asarray(parts["labeller"].stage.provides["label"](frozen, images))
    np.testing.assert_array_equal(seen.labels[~given], said[~given])
    # It has learnt something: the labels that were hidden are found far more often than by chance.
    everything = data.read(config.data, "train")[0]
    true = {image.tobytes(): label for image, label in zip(everything.images, everything.labels, strict=True)}
    hidden = [true[image.tobytes()] for image in seen.images[~given]]
    assert np.mean(seen.labels[~given] == hidden) > 0.5


def test_a_mixture_has_more_components_than_a_class_has_pairs(config, one, tmp_path):
    with config.unlocked():
        config.matching.update(dict(matcher="gmm", steps=0, components=11))
        config.data.unpaired = 200
    frozen = train(config, tmp_path / "run", one)  # of 10 pairs a class
    assert frozen["matching"]["fitted"]["means"].shape[:2] == (10, 11)


def test_batches_hold_images_of_both_kinds(config, one, tmp_path):
    frozen = train(config, tmp_path / "run", one)
    parts = {part.name: part for part in method.build(config, data.load(config.data, config.seed))}
    job = method.job(parts["matching"], config, parallel.mesh(one)).relabelled({k: frozen[k] for k in STAGES[:2]})
    drawn = np.concatenate([program.indices(job, step)[0] for step in range(12)])
    kinds = parts["matching"].view.labels[drawn] == UNPAIRED
    assert 0 < kinds.mean() < 1


def test_partly_labelled_images_need_a_labeller(tiny):
    config = tiny(data__paired=100, matching__view="partly")
    with pytest.raises(UserError, match=r"needs a stage before it that labels the rest, such as labeller; type"):
        method.build(config, data.load(config.data, config.seed))


def test_a_labeller_gives_the_model_nothing_but_labels(config):
    parts = {part.name: part for part in method.build(config, data.load(config.data, config.seed))}
    assert set(parts["labeller"].stage.provides) == {"label"}
    assert load_config("configs/study_unpaired.py:digits").matching.view == "paired"
