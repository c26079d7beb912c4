"""The stage of the two tests, against a plain loop over candidates; its thresholds and its rates."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from experiment_jax.data import split as data
from experiment_jax.data.split import Dataset, Split, View
from experiment_jax.evaluation.latents import acceptance_metrics
from experiment_jax.method.stage import Context, Model, Samples
from regene_jax import acceptance

LATENT, CLASSES = 4, 3
COUNT = 22  # samples a call: a program is compiled for one size
HEAD = np.random.default_rng(0).normal(size=(LATENT, CLASSES)).astype(np.float32)


def decode(params, z):
    """Loses some of the latent, so that an image encoded again is another latent."""
    return jnp.tanh(1.5 * z - 0.5 * jnp.roll(z, 1, axis=-1)).reshape(-1, 2, 2, 1)


def encode(params, images):
    return 2 * images.reshape(len(images), LATENT)


def classify(params, z):
    return z @ HEAD


def sample(params, keys, condition):
    noise = jax.vmap(lambda key: jax.random.normal(key, (LATENT,)))(keys)
    latents = 1.5 * noise + 0.3 * jnp.asarray(HEAD).T[condition]
    return Samples.untested(decode(params, latents), latents)


def section(**own):
    return ConfigDict({**dict(view="validation", tries=6, decodes=2), **own})


def context(**model):
    functions = dict(encode=encode, decode=decode, classify=classify, sample=sample, nfe=1)
    weights, counts = np.full(CLASSES, 1 / CLASSES, np.float32), np.full(CLASSES, 11)
    return Context("acceptance", (2, 2, 1), CLASSES, weights, counts, 0, Model(**{**functions, **model}))


def view(count=33):
    generator = np.random.default_rng(5)
    images = generator.integers(0, 256, (count, 2, 2, 1)).astype(np.uint8)
    return View(images, (np.arange(count) % CLASSES).astype(np.int32))


@functools.cache
def sampler(**own):
    """(thresholds, keys, labels) -> samples, compiled."""
    provided = acceptance.stage(section(**own), context()).provides["sample"]
    return jax.jit(lambda threshold, *asked: provided({"acceptance": acceptance.Acceptance.Frozen(threshold)}, *asked))


def drawn(threshold, keys, labels, **own):
    return sampler(**own)(jnp.asarray(threshold, jnp.float32), keys, labels)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum()


TRIES = 6  # at most


@jax.jit
def candidates(keys, labels):
    """Each sample's candidates, in order: latents `[batch, TRIES, latent]`, and what their images are encoded as."""
    each = jax.vmap(lambda key: jax.vmap(lambda number: jax.random.fold_in(key, number))(jnp.arange(TRIES)))(keys)
    latents = sample({}, each.reshape(-1), jnp.repeat(labels, TRIES)).latents
    again = encode({}, decode({}, latents))
    return latents.reshape(-1, TRIES, LATENT), again.reshape(-1, TRIES, LATENT)


def by_hand(threshold, latents, again, label, tries, decodes):
    """One sample by a plain loop: (number of the candidate, accepted, candidates tested, its latent)."""
    passed_one = []
    for number in range(tries):
        if softmax(latents[number] @ HEAD)[label] < threshold[label]:
            continue
        passed_one.append(number)
        if softmax(again[number] @ HEAD)[label] >= threshold[label]:
            return number, True, number + 1, latents[number]
        if len(passed_one) == decodes:
            break
    first = passed_one[0] if passed_one else 0
    return first, False, number + 1, latents[first]


def all_by_hand(threshold, keys, labels, tries, decodes):
    rows = zip(*map(np.asarray, candidates(keys, labels)), labels, strict=True)
    return [by_hand(threshold, *row, tries, decodes) for row in rows]


@pytest.mark.parametrize("threshold", [0.3, 0.7, 0.95])
@pytest.mark.parametrize(("tries", "decodes"), [(6, 2), (6, 6), (5, 1), (1, 1)])
def test_samples_are_those_of_a_plain_loop_over_candidates(threshold, tries, decodes):
    keys, labels = jax.random.split(jax.random.key(1), COUNT), np.arange(COUNT) % CLASSES
    found = drawn([threshold] * 3, keys, labels, tries=tries, decodes=decodes)
    expected = all_by_hand([threshold] * 3, keys, labels, tries, decodes)
    np.testing.assert_array_equal(found.accepted, [row[1] for row in expected])
    np.testing.assert_array_equal(found.tries, [row[2] for row in expected])
    np.testing.assert_allclose(found.latents, [row[3] for row in expected], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.images, decode({}, found.latents), rtol=1e-5, atol=1e-5)


def test_the_plain_loop_sees_every_outcome():
    """Acceptance at once, late, only a first test passed, nothing passed: all occur in the comparison above."""
    keys, labels = jax.random.split(jax.random.key(1), COUNT), np.arange(COUNT) % CLASSES
    rows = all_by_hand([0.7] * 3, keys, labels, 6, 2)
    assert {row[2] for row in rows if row[1]} >= {1, 2, 3}
    strict = all_by_hand([0.95] * 3, keys, labels, 6, 2)
    assert any(not row[1] and row[0] > 0 for row in strict) and any(not row[1] and row[2] == 6 for row in strict)


def test_one_key_makes_one_sample_whatever_the_batch():
    keys, labels = jax.random.split(jax.random.key(2), COUNT), np.arange(COUNT) % CLASSES
    whole, part = drawn([0.7] * 3, keys, labels), drawn([0.7] * 3, keys[4:7], labels[4:7])
    for one, other in zip(whole, part, strict=True):
        np.testing.assert_allclose(other, one[4:7], rtol=1e-5, atol=1e-6)


def test_where_nothing_can_pass_the_first_candidate_comes_back_unaccepted():
    keys, labels = jax.random.split(jax.random.key(3), COUNT), np.arange(COUNT) % CLASSES
    found = drawn([1.1] * 3, keys, labels)
    assert found.images.shape == (COUNT, 2, 2, 1) and found.accepted.dtype == bool and not found.accepted.any()
    np.testing.assert_array_equal(found.tries, 6)
    np.testing.assert_allclose(found.latents, candidates(keys, labels)[0][:, 0], rtol=1e-6)


def test_where_everything_passes_it_is_the_first_candidate():
    keys, labels = jax.random.split(jax.random.key(3), COUNT), np.arange(COUNT) % CLASSES
    found = drawn([0.0] * 3, keys, labels)
    assert found.accepted.all() and (found.tries == 1).all()


def test_thresholds_are_the_mean_confidences_of_each_class():
    images = view().images
    frozen = acceptance.stage(section(), context()).finish({}, view(), {})
    confidence = [
        softmax(2 * (image.reshape(-1) / 127.5 - 1) @ HEAD)[i % CLASSES] for i, image in enumerate(images.astype(float))
    ]
    expected = [np.mean(confidence[label::CLASSES]) for label in range(CLASSES)]
    np.testing.assert_allclose(frozen.threshold, expected, rtol=1e-5)
    assert frozen.threshold.dtype == np.float32 and len(jax.tree.leaves(frozen)) == 1


def test_accepted_over_tries_is_the_share_of_candidates_that_pass():
    """Σ accepted / Σ tries against the share among independent candidates, although testing stops early."""
    keys, labels = list(jax.random.split(jax.random.key(4), (50, COUNT))), np.zeros(COUNT, np.int64)

    def all_drawn(**own):
        parts = [drawn([0.8] * 3, row, labels, **own) for row in keys]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)

    single, several = all_drawn(tries=1, decodes=1), all_drawn(tries=6, decodes=2)
    expected = float(single.accepted.mean())
    assert 0.1 < expected < 0.6
    measured = acceptance_metrics(several, np.zeros(50 * COUNT, np.int64), CLASSES)
    np.testing.assert_allclose(measured["acceptance_rate"], expected, atol=0.03)
    assert measured["accepted"] > expected + 0.1
    np.testing.assert_allclose(measured["acceptance_rate_by_class"][0], measured["acceptance_rate"])
    assert measured["acceptance_rate_by_class"][1:] == [None, None]


def test_rates_are_counted_by_class():
    accepted, tries = np.array([True, False, True, True]), np.array([1, 4, 2, 3], np.int32)
    found = acceptance_metrics(Samples(None, None, accepted, tries), np.array([0, 0, 2, 2]), 3)
    assert found == {
        "accepted": 0.75,
        "acceptance_rate": 0.3,
        "acceptance_rate_by_class": [0.2, None, 0.4],
    }


def test_the_sampler_says_that_it_tests_and_what_it_costs():
    provided = acceptance.stage(section(decodes=3), context()).provides
    assert provided["tests"] and provided["nfe"] == 3
    assert not context().model.tests


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (dict(view="paired"), r"type --config\.acceptance\.view=validation$"),
        (dict(tries=0), r"type --config\.acceptance\.tries=8$"),
        (dict(decodes=7), r"at most tries=6; type --config\.acceptance\.decodes=6$"),
        (dict(decodes=0), r"type --config\.acceptance\.decodes=1$"),
    ],
)
def test_settings_that_test_nothing_are_refused(own, message, refused):
    assert re.search(message, refused(acceptance.stage, section(**own), context()))


@pytest.mark.parametrize("missing", ["encode", "decode", "classify", "sample"])
def test_what_the_tests_need_must_come_first(missing, refused):
    message = refused(acceptance.stage, section(), context(**{missing: None}))
    assert re.search(f"stages: acceptance needs stages before it .* none of them can {missing}$", message)


def test_the_view_of_held_out_images_is_labelled_and_refused_where_there_are_none(refused):
    images, labels = np.zeros((6, 2, 2, 1), np.uint8), np.arange(6, dtype=np.int32) % 3
    parts = Split(images, labels), Split(images[:3] + 1, labels[:3])
    held_out = data.view(Dataset("planted", ("a", "b", "c"), *parts), "validation")
    np.testing.assert_array_equal(held_out.labels, [0, 1, 2])
    assert (held_out.images == 1).all()
    none = Dataset("planted", ("a", "b", "c"), parts[0], parts[0].take(np.arange(0)))
    assert refused(data.view, none, "validation").endswith(
        "no images are held out of train; type --config.data.validation=30"
    )
