"""A labeller learns from pairs and from all other images, and pseudo-labels are what it thinks likeliest."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from ml_collections import ConfigDict

from experiment_jax import load_run, train
from experiment_jax.data import load, passes
from experiment_jax.data.split import UNPAIRED, Dataset
from experiment_jax.evaluation.latents import representation_metrics
from experiment_jax.method.build import Task, build
from experiment_jax.runs.verified import digest
from lsdm_jax import consistency, sections

STAGES = ("representation", "labeller", "matching")


def labelled(tiny, **overrides):
    """Tiny LSDM on 100 pairs and 200 unpaired images, with a labeller that trains for long enough to know digits."""
    config = tiny(data__paired=100, data__unpaired=200, matching__labels="pseudo", representation__steps=0)
    with config.unlocked():
        config.labeller = sections.labeller(steps=40, batch_size=70, pairs=50, widths=(8, 16), dropout=0.0)
        config.stages = STAGES
    for key, value in overrides.items():
        *sections_of, name = key.split("__")
        functools.reduce(lambda section, each: section[each], sections_of, config)[name] = value
    return config


@dataclasses.dataclass(frozen=True)
class Trained:
    workdir: Path
    config: ConfigDict
    dataset: Dataset
    tasks: Mapping[str, Task]
    frozen: Mapping[str, Any]

    @property
    def upstream(self):
        """Of the labeller."""
        return {"representation": self.frozen["representation"]}

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
    said = np.asarray(trained.tasks["labeller"].stage.provides["posterior"](trained.frozen, images))
    np.testing.assert_allclose(said.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(seen.labels[~given], said.argmax(axis=1)[~given])
    # It has learnt something: the labels that were hidden are found far more often than by chance.
    everything = load.read(trained.config.data, "train")[0]
    true = {image.tobytes(): label for image, label in zip(everything.images, everything.labels, strict=True)}
    hidden = [true[image.tobytes()] for image in seen.images[~given]]
    assert np.mean(seen.labels[~given] == hidden) > 0.5


def test_how_right_and_how_sure_it_is_of_test_images_is_measured(trained):
    run = load_run(trained.workdir)
    said = trained.tasks["labeller"].stage.provides["posterior"](trained.frozen, passes.to_float(run.test.images))
    found = representation_metrics(run, run.test, run.encode(run.test.images))
    assert found["accuracy_labeller"] == np.mean(np.argmax(said, axis=-1) == run.test.labels) > 0.5
    np.testing.assert_allclose(found["confidence_labeller"], np.mean(np.max(said, axis=-1)), rtol=1e-5)


def test_a_mixture_has_more_components_than_a_class_has_pairs(trained, tiny, one, tmp_path):
    config = labelled(tiny, matching__matcher="gmm", matching__steps=0, matching__gmm__components=11)
    config.labeller.from_run = config.representation.from_run = str(trained.workdir)
    frozen = train(config, tmp_path / "run", one)  # of 10 pairs a class
    assert frozen["matching"].sampler["means"].shape[:2] == (10, 11)


def test_batches_hold_images_of_both_kinds(trained):
    drawn = np.concatenate([trained.matching.indices(step)[0] for step in range(12)])
    kinds = trained.tasks["matching"].view.labels[drawn] == UNPAIRED
    assert 0 < kinds.mean() < 1


def test_labels_for_the_rest_need_a_labeller(tiny, refused):
    config = tiny(data__paired=100, matching__labels="pseudo")
    error = refused(build, config, load.load(config.data, config.seed))
    assert "needs a stage before it that labels the rest, such as labeller; type" in error


# --- its loss --------------------------------------------------------------------------------------------------------


def test_aligned_probabilities_have_the_shares_asked_where_they_had_those_found():
    found, shares = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    np.testing.assert_allclose(consistency.align(found[None], found, shares), shares[None], rtol=1e-6)
    certain = np.eye(3)
    np.testing.assert_allclose(consistency.align(certain, found, shares), certain, atol=1e-6)
    said = np.random.default_rng(0).dirichlet(np.ones(3), 50)
    np.testing.assert_allclose(consistency.align(said, shares, shares), said, rtol=1e-5)


def test_what_is_not_sure_counts_nothing_and_the_rest_by_its_likeliest_class():
    logits = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    expected = np.array([[0.95, 0.05, 0, 0], [0.4, 0.3, 0.2, 0.1], [0, 0, 0.1, 0.9]], np.float32)
    loss, share = consistency.loss(logits, expected, 0.9)
    by_hand = -scipy.special.log_softmax(logits, axis=1)[[0, 2], [0, 3]].sum() / 3
    np.testing.assert_allclose(loss, by_hand, rtol=1e-5)
    np.testing.assert_allclose(share, 2 / 3, rtol=1e-6)
    gradient = np.asarray(jax.grad(lambda logits: consistency.loss(logits, expected, 0.9)[0])(logits))
    assert np.abs(gradient[1]).max() == 0 and np.abs(gradient[[0, 2]]).max() > 0


def test_pairs_that_find_the_temperature_are_not_trained_on(trained):
    task = trained.tasks["labeller"].relabelled(trained.upstream)
    seen, given = task.view, trained.dataset.train.labels
    held_out = (seen.labels == UNPAIRED) & (given != UNPAIRED)
    np.testing.assert_array_equal(np.bincount(given[held_out]), np.ones(10))  # a tenth of ten
    first = np.concatenate([task.indices(step)[0][:50] for step in range(9)])
    assert not held_out[first].any() and (seen.labels[first] != UNPAIRED).all()
    assert trained.frozen["labeller"].temperature != 1.0


def test_what_two_agree_on_is_their_geometric_mean():
    first, second = np.random.default_rng(0).dirichlet(np.ones(4), (2, 9)).astype(np.float32)
    product = np.sqrt(first * second)
    np.testing.assert_allclose(consistency.agreed(first, second), product / product.sum(1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(consistency.agreed(first, first), first, rtol=1e-5)
    np.testing.assert_array_equal(consistency.agreed(np.eye(2), np.eye(2)[::-1]), 0.0)  # of which nothing is sure


def test_latents_need_a_representation_and_two_pairs_a_class(tiny, refused):
    config = labelled(tiny, stages=("labeller", "representation", "matching"))
    assert "put labeller after it in stages" in refused(build, config, load.load(config.data, config.seed))
    config = labelled(tiny, data__paired=10, labeller__pairs=10)
    error = refused(build, config, load.load(config.data, config.seed))
    assert "class 0 has 1 images with a label, too few" in error and "--config.labeller.latents=false" in error


def test_without_consistency_only_the_pairs_are_looked_at(tiny):
    config = labelled(tiny, labeller__consistency=0.0, labeller__latents=False)
    task = build(config, load.load(config.data, config.seed))[1].relabelled({})
    state = jax.jit(lambda: task.initial(jax.random.key(0), {}))()
    generator = np.random.default_rng(0)
    images = generator.uniform(-1, 1, (70, 8, 8, 1)).astype(np.float32)
    labels = np.concatenate([np.repeat(np.arange(10), 5), np.full(20, UNPAIRED)]).astype(np.int32)
    update = jax.jit(
        lambda images: task.stage.update(state, {"images": images, "labels": labels}, jax.random.key(1), {})
    )
    other = images.copy()
    other[50:] = 0.0
    assert digest(update(images)[0]) == digest(update(other)[0])
    other[3] = 0.0
    assert digest(update(images)[0]) != digest(update(other)[0])


@pytest.mark.parametrize(
    ("own", "says"),
    [
        (dict(view="paired"), "sees all images; type --config.labeller.view=mixed"),
        (dict(pairs=25), "type --config.labeller.pairs=20"),
        (dict(pairs=70), "type --config.labeller.pairs=60"),
        (dict(threshold=1.0), "give less than 1, as in --config.labeller.threshold=0.8"),
        (dict(held_out=1.0), "give less than 1, as in --config.labeller.held_out=0.1"),
        (dict(consistency=-1.0), "give 0 or more, as in --config.labeller.consistency=1.0"),
        (dict(strong__share=-0.1), "give 0 or more, as in --config.labeller.strong.share=0.1"),
    ],
)
def test_settings_that_make_no_labeller_are_refused(own, says, tiny, refused):
    config = labelled(tiny, **{f"labeller__{key}": value for key, value in own.items()})
    assert says in refused(build, config, load.load(config.data, config.seed))


def test_a_labeller_gives_the_model_nothing_but_probabilities(trained):
    assert set(trained.tasks["labeller"].stage.provides) == {"posterior"}
