"""A matcher, or a kind of representation, of one's own: one file and two lines, and nothing else has to change.

This module stands for the file; `monkeypatch.setitem` stands for a line.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax import load_run, train
from experiment_jax.config import checks
from experiment_jax.config.types import flat
from experiment_jax.training.logger import read_metrics
from lsdm_jax import settings
from lsdm_jax.kinds import KINDS, Code, Kind
from lsdm_jax.matchers import MATCHERS
from lsdm_jax.matchers.generator import OneStepMatcher
from lsdm_jax.matchers.matcher import Matcher

SETTINGS = {"regression": dict(weight=1.0), "mean": dict(deviation=0.0)}


@dataclasses.dataclass(frozen=True)
class RegressionMatcher(OneStepMatcher):
    """G is regressed onto the latents: min_G (weight/2) E‖G(X, η) − E(Y)‖²."""

    NAME = "regression"

    def check(self):
        checks.positive(self.own, self.where, weight=1.0)

    def loss(self, params, term, key):
        weights = term.weights(self.context.class_weights)
        square = jnp.sum(weights * jnp.sum((self.draw(params, key, term.condition) - term.latents) ** 2, axis=-1))
        return self.own.weight / 2 * square, {"square": square}


@dataclasses.dataclass(frozen=True)
class MeanMatcher(Matcher):
    """Samples are the mean of their class, with noise."""

    NAME = "mean"
    nfe = 0

    def fit(self, latents, labels, upstream):
        classes = range(self.context.num_classes)
        return {"means": np.stack([latents[labels == label].mean(axis=0) for label in classes])}

    def sample(self, params, key, x):
        mean = jnp.asarray(params["means"])[x]
        return mean + self.own.deviation * jax.random.normal(key, mean.shape)


def small(encoded, key, own, context):
    """z = E(Y), and weight · mean |z|."""
    size = jnp.mean(jnp.abs(encoded))
    return Code(encoded, own.weight * size, {"size": size})


@pytest.fixture
def own_matcher(monkeypatch, tiny, finished):
    """`own_matcher(Class, …)` -> a config that matches by it on the representation of the finished tiny run."""

    def config(matcher, **overrides):
        before = flat(tiny())
        own = SETTINGS[matcher.NAME]
        monkeypatch.setitem(MATCHERS, matcher.NAME, matcher)
        monkeypatch.setitem(settings.MATCHERS, matcher.NAME, own)
        assert flat(tiny()) == before | {f"matching.{matcher.NAME}.{key}": value for key, value in own.items()}
        taken = dict(representation__from_run=str(finished[1]), matching__matcher=matcher.NAME)
        return tiny(**taken, **overrides)

    return config


def test_a_matcher_that_is_trained(own_matcher, one, tmp_path):
    train(own_matcher(RegressionMatcher, matching__regression__weight="0.5", matching__steps=2), tmp_path, one)
    rows = read_metrics(tmp_path)
    assert "validation_spread" in rows[-1]
    trained = [row for row in rows if "square" in row]
    assert len(trained) == 2
    for row in trained:
        np.testing.assert_allclose(row["loss"], 0.25 * row["square"], rtol=1e-6)
    run = load_run(tmp_path)
    assert run.config.matching.regression.weight == 0.5 and run.model.nfe == 1 and run.model.conditional
    samples = run.sample(np.arange(10), seed=1)
    assert samples.images.shape == (10, 8, 8, 1) and samples.latents.shape == (10, 3)
    assert np.abs(samples.latents - run.sample(np.arange(10)[::-1], seed=1).latents).min() > 0


def test_a_matcher_that_is_fitted(own_matcher, one, tmp_path):
    train(own_matcher(MeanMatcher, matching__steps=0, matching__mean__deviation=0.5), tmp_path, one)
    run = load_run(tmp_path)
    real, labels = run.encode(run.dataset.train.images), run.dataset.train.labels
    asked = np.arange(2000) % 2
    drawn = run.sample(asked).latents
    for label in range(2):
        mean = real[labels == label].mean(axis=0)
        np.testing.assert_allclose(drawn[asked == label].mean(axis=0), mean, atol=0.1)
        np.testing.assert_allclose(drawn[asked == label].std(axis=0), 0.5, atol=0.05)


def test_mistakes_with_a_matcher_of_one_s_own_are_refused(own_matcher, tiny, one, tmp_path, refused):
    error = refused(train, own_matcher(RegressionMatcher, matching__regression__weight=0.0), tmp_path, one)
    assert error.endswith("positive number, as in --config.matching.regression.weight=1.0")
    assert "matching.regression.weight=a: " in refused(tiny, matching__regression__weight="a")
    assert "regression" in refused(train, tiny(matching__matcher="regresion"), tmp_path, one)
    assert not any(tmp_path.iterdir())


def test_a_kind_of_representation(monkeypatch, tiny, one, tmp_path, refused):
    before = flat(tiny())
    monkeypatch.setitem(KINDS, "small", Kind(small))
    monkeypatch.setitem(settings.KINDS, "small", dict(weight=0.1))
    assert flat(tiny()) == before | {"representation.small.weight": 0.1}
    wanted = dict(stages=("representation",), representation__kind="small", representation__steps=2)
    train(tiny(**wanted, representation__small__weight="0.5"), tmp_path, one)
    rows = read_metrics(tmp_path)
    assert "validation_recon_l1" in rows[-1]
    trained = [row for row in rows if "size" in row]
    assert len(trained) == 2
    for row in trained:
        np.testing.assert_allclose(row["loss"], row["l1"] + 0.5 * row["size"], rtol=1e-5)
    run = load_run(tmp_path)
    assert run.config.representation.small.weight == 0.5
    assert run.decode(run.encode(run.test.images[:7])).shape == (7, 8, 8, 1)
    error = refused(train, tiny(**wanted, representation__small__weight=-1.0), tmp_path / "other", one)
    assert "representation.small.weight=-1.0: give 0 or more" in error
