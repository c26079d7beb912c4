"""What images without a label add to matching: terms, probabilities, and what is refused."""

import dataclasses
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax.data import load, split
from experiment_jax.data.order import Order
from experiment_jax.data.split import UNPAIRED, View
from experiment_jax.method.build import build, view_name
from experiment_jax.method.stage import Context, Model
from lsdm_jax import matching, sections, unpaired
from lsdm_jax.condition import expected_phi, phi
from lsdm_jax.matchers import flow

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import posterior_bias

LATENT, CLASSES, ROWS = 3, 4, 24
SOLVER = dict(epsilon=0.5, max_iterations=2000, threshold=1e-5)


@pytest.fixture(autouse=True)
def lenient_promotion():
    """ott promotes ranks inside, so a strict suite must not hold it to our rule."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def settings(**own):
    small = dict(matcher="flow", batch_size=ROWS, noise_size=4, width=8, depth=1, beta=2.0, labels="posterior")
    return sections.matching(**{**small, "flow": dict(epsilon=1.0, max_iterations=50), **own})


def context(counts=(6, 6, 6, 6), **model):
    functions = dict(
        encode=lambda params, images: images.reshape(len(images), -1)[:, :LATENT],
        decode=lambda params, z: jnp.pad(z, ((0, 0), (0, 1))).reshape(-1, 2, 2, 1),
        posterior=lambda params, images: jnp.full((len(images), CLASSES), 1 / CLASSES),
        latent_size=LATENT,
    )
    counts = np.array(counts)
    weights = (counts / counts.sum()).astype(np.float32)
    return Context("matching", (2, 2, 1), CLASSES, weights, counts, 10, Model(**{**functions, **model}))


def cloud(seed, count=ROWS):
    return np.random.default_rng(seed).normal(size=(count, LATENT)).astype(np.float32)


def labels_of(count=ROWS, seed=0):
    return np.random.default_rng(seed).integers(0, CLASSES, count).astype(np.int32)


def stepped(section, batch, where=None):
    stage = matching.stage(section, where or context())
    batch = jax.tree.map(jnp.asarray, batch)
    state = jax.jit(lambda: stage.init(jax.random.key(0), batch, {}))()
    return jax.jit(lambda state: stage.update(state, batch, jax.random.key(1), {}))(state)


# --- terms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("matcher", ["flow", "sinkhorn", "critic"])
@pytest.mark.parametrize("labels", ["posterior", "sampled"])
def test_probabilities_that_are_certain_make_the_joint_step_of_labels(matcher, labels):
    given = labels_of()
    certain = np.eye(CLASSES, dtype=np.float32)[given]
    batch = {"latents": cloud(1), "labels": np.full(ROWS, UNPAIRED, np.int32), "probabilities": certain}
    known, _ = stepped(settings(matcher=matcher, labels=labels), batch)
    today, _ = stepped(settings(matcher=matcher, labels="pairs"), {"latents": cloud(1), "labels": given})
    for found, wanted in zip(jax.tree.leaves(known), jax.tree.leaves(today), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_latents_of_which_nothing_is_known_match_the_mixture_alone():
    """At equal probabilities the drift of samples does not depend on what classes they are asked for."""
    x, y, other = cloud(0), cloud(1), cloud(2)
    nothing = expected_phi(jnp.full((ROWS, CLASSES), 1 / CLASSES))
    pull = jax.jit(lambda classes: flow.pull(*_joined(x, classes, y, nothing), fixed=CLASSES, **SOLVER)[0][:, CLASSES:])
    np.testing.assert_allclose(pull(labels_of(seed=3)), pull(labels_of(seed=4)), atol=1e-3)
    known = phi(labels_of(seed=5), CLASSES)
    asked = [
        flow.joint((x, y, other), (phi(labels_of(seed=s), CLASSES), known, known), 5.0, **SOLVER)[0] for s in (3, 4)
    ]
    assert np.abs(asked[0] - asked[1]).max() > 0.1  # and where something is known it does


def _joined(x, classes, y, known, beta=5.0):
    joined = jnp.concatenate([beta * phi(classes, CLASSES), x], axis=-1), jnp.concatenate([beta * known, y], axis=-1)
    return joined


def test_marginal_compares_the_mixture_by_the_shares_of_the_pairs_with_all_latents():
    section, where = settings(labels="marginal", beta=float("inf"), pairs=dict(weight=0.5)), context((18, 2, 2, 2))
    batch = {"latents": cloud(0, 4000), "labels": np.full(4000, UNPAIRED)}
    term = unpaired.term(section, where, batch, None, jax.random.key(0))
    assert term.beta == 0.0 and term.known is None
    np.testing.assert_allclose(np.bincount(term.condition, minlength=CLASSES) / 4000, where.class_weights, atol=0.03)


def test_where_conditions_are_images_the_mixture_is_over_those_of_the_pairs():
    where = context(
        degrade=lambda params, images: images[:, ::2, ::2],
        noise=lambda params, low, keys: low,
        embed=lambda params, low: low.reshape(len(low), -1),
    )
    section = settings(labels="marginal", beta=1.0, pairs=dict(weight=0.5, batch_size=8), batch_size=8 + 20)
    stage = matching.stage(section, where)
    low = np.random.default_rng(0).normal(size=(28, 1, 1, 1)).astype(np.float32)
    batch = {"latents": cloud(0, 28), "low": low, "labels": np.full(28, UNPAIRED, np.int32)}
    rest, pairs = stage.terms(jax.tree.map(jnp.asarray, batch), jax.random.key(0), {})
    np.testing.assert_allclose(pairs.condition, low[:8].reshape(8, 1))
    np.testing.assert_allclose(rest.condition, low[np.arange(20) % 8].reshape(20, 1))
    assert (rest.beta, pairs.beta) == (0.0, 1.0)
    assert stage.strata is None and stage.pairs == 8


def test_samples_carry_one_class_and_classes_are_as_frequent_as_the_labeller_finds_them():
    unequal = np.random.default_rng(0).dirichlet([8.0, 1.0, 0.5, 0.5], 4000).astype(np.float32)
    batch = {"latents": cloud(0, 4000), "probabilities": unequal}
    term = unpaired.term(settings(), context(), batch, None, jax.random.key(0))
    assert term.condition.dtype == jnp.int32 and term.condition.shape == (4000,)
    np.testing.assert_allclose(np.bincount(term.condition, minlength=CLASSES) / 4000, unequal.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(term.known, unequal / np.sqrt(2), rtol=1e-6)


def test_pairs_have_a_term_of_their_own_beside_that_of_all_latents():
    section = settings(batch_size=ROWS + 8, pairs=dict(weight=0.5, batch_size=8, smoothing=0.3))
    stage = matching.stage(section, context())
    own = np.repeat(np.arange(CLASSES, dtype=np.int32), 2)
    certain = np.eye(CLASSES, dtype=np.float32)[np.concatenate([own, labels_of()])]
    batch = {"latents": cloud(1, ROWS + 8), "labels": np.concatenate([own, labels_of()]), "probabilities": certain}
    rest, pairs = stage.terms(jax.tree.map(jnp.asarray, batch), jax.random.key(0), {})
    np.testing.assert_array_equal(pairs.latents, batch["latents"][:8])
    np.testing.assert_array_equal(pairs.condition, own)
    assert (pairs.beta, pairs.smoothing, pairs.weight) == (float("inf"), 0.3, 0.5)
    np.testing.assert_array_equal(rest.latents, batch["latents"][8:])
    assert rest.beta == 2.0 and rest.smoothing == 0.0
    _, metrics = stepped(section, batch)
    np.testing.assert_allclose(
        metrics["loss"], (metrics["drift_norm"] ** 2 + 0.5 * metrics["pairs_drift_norm"] ** 2) / 2, rtol=1e-5
    )


def test_posterior_has_a_bias_that_grows_with_beta_and_sampled_has_none(monkeypatch):
    """Two overlapping normal laws, exact probabilities; table: benchmarks/posterior_bias.py."""
    monkeypatch.setattr(posterior_bias, "BATCH", 128)
    floor = posterior_bias.distance(posterior_bias.draw, 400)
    small, large, drawn = (
        posterior_bias.distance(posterior_bias.sampler(labels, beta, 600, 0), 400)
        for labels, beta in (("posterior", 1.0), ("posterior", 30.0), ("sampled", 30.0))
    )
    assert large > small + 0.1 > drawn + 0.1
    assert drawn < 1.35 * floor


# --- batches ---------------------------------------------------------------------------------------------------------


def test_stratified_batches_of_probabilities_have_the_labellers_joint_law():
    """Each class's part is drawn in proportion to the probability of the class, anew at every step."""
    found = np.random.default_rng(0).dirichlet(np.ones(CLASSES), 7).astype(np.float32)
    order = load_order(found, batch_size=40)
    rows = np.stack([order.indices(step) for step in range(500)]).reshape(500, CLASSES, 10)
    for label in range(CLASSES):
        shares = np.bincount(rows[:, label].ravel(), minlength=7) / 5000
        np.testing.assert_allclose(shares, found[:, label] / found[:, label].sum(), atol=0.03)
    np.testing.assert_array_equal(order.indices(3), load_order(found, batch_size=40).indices(3))
    assert not np.array_equal(order.indices(3), order.indices(4))


def load_order(probabilities, batch_size):
    return Order(None, len(probabilities), batch_size, CLASSES, 0, probabilities=probabilities)


def test_a_class_of_probability_0_is_never_drawn():
    certain = np.eye(CLASSES, dtype=np.float32)[labels_of(50)]
    order = load_order(certain, batch_size=40)
    for step in range(20):
        np.testing.assert_array_equal(certain[order.indices(step)].argmax(axis=1), np.repeat(np.arange(CLASSES), 10))
    drawn = unpaired.draw_labels(jax.random.key(0), jnp.asarray(certain))
    np.testing.assert_array_equal(drawn, certain.argmax(axis=1))


def test_pairs_keep_their_labels_and_the_rest_get_probabilities():
    given = np.array([2, UNPAIRED, 0, UNPAIRED], np.int32)
    seen = View(np.zeros((4, 2, 2, 1), np.uint8), given)
    found = unpaired.relabel(settings(), context())(seen, {})
    np.testing.assert_array_equal(found.labels, given)
    np.testing.assert_allclose(found.probabilities[[0, 2]], np.eye(CLASSES)[[2, 0]])
    np.testing.assert_allclose(found.probabilities[[1, 3]], 0.25)
    assert unpaired.relabel(settings(labels="pairs"), context()) is None


@pytest.mark.parametrize(("labels", "seen"), [("pairs", "paired"), ("pseudo", "mixed"), ("marginal", "mixed")])
def test_the_view_follows_from_the_labels(labels, seen):
    assert view_name(settings(labels=labels)) == seen


def test_labels_that_are_hidden_change_nothing_to_the_bit(tiny, monkeypatch):
    """The same pairs; all other labels permuted before they are hidden. Training knows no more than this of the set."""
    config = tiny(data__paired=100, data__unpaired=200, data__validation=0)
    original = load.load(config.data, config.seed).train
    everything, names, *_ = load.read(config.data, "train")
    paired = {image.tobytes() for image in original.images[original.labels != UNPAIRED]}
    hidden = np.array([image.tobytes() not in paired for image in everything.images])
    scrambled = everything.labels.copy()
    scrambled[hidden] = np.random.default_rng(0).permutation(scrambled[hidden])
    assert not np.array_equal(scrambled, everything.labels)
    monkeypatch.setattr(split, "choose_paired", lambda *arguments: np.flatnonzero(~hidden))
    one, other = (
        split.divide(dataclasses.replace(everything, labels=labels), names, config.data, config.seed)
        for labels in (everything.labels, scrambled)
    )
    assert np.count_nonzero(one.train.labels == UNPAIRED) == 200
    np.testing.assert_array_equal(one.train.images, other.train.images)
    np.testing.assert_array_equal(one.train.labels, other.train.labels)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "where", "says"),
    [
        (dict(labels="posteriors"), {}, "matching.labels=posteriors: choose one of pairs, pseudo"),
        (dict(), dict(posterior=None), "needs a stage before it that labels the rest, such as labeller; type"),
        (dict(labels="sampled"), dict(posterior=None), "matching.labels=sampled: needs a stage"),
        (dict(labels="pseudo"), dict(posterior=None), "type --config.matching.labels=pairs"),
        (dict(beta=float("inf")), {}, "needs a finite beta, since what is not certain is of no one class; type"),
        (dict(labels="marginal"), {}, "learns no class without pairs; type --config.matching.pairs.weight=1.0"),
        (dict(labels="pairs", pairs=dict(weight=1.0)), {}, "type --config.matching.pairs.weight=0.0"),
        (dict(labels="pseudo", pairs=dict(weight=1.0)), {}, "type --config.matching.pairs.weight=0.0"),
        (dict(pairs=dict(weight=1.0, batch_size=7)), {}, "type --config.matching.pairs.batch_size=4"),
        (dict(pairs=dict(weight=-1.0)), {}, "matching.pairs.weight=-1.0: give 0 or more"),
        (dict(matcher="score"), {}, "matching.labels=posterior: score takes pairs, pseudo, sampled; type"),
        (dict(matcher="critic", pairs=dict(weight=1.0, batch_size=4)), {}, "the critic has one problem"),
        (dict(matcher="energy", draws=2, pairs=dict(smoothing=0.1)), {}, "energy has none; type"),
        (dict(view="paired"), {}, "sees the view mixed; type --config.matching.view=mixed"),
        (dict(view="all", labels="pairs"), {}, "type --config.matching.view=paired"),
        (dict(degraded=True), {}, "the condition is an image and has no classes"),
    ],
)
def test_what_unpaired_images_cannot_be_used_for_is_refused(own, where, says, refused):
    own = dict(own)
    if own.pop("degraded", False):
        where = dict(degrade=lambda params, images: images)
    assert says in refused(matching.stage, settings(**own), context(**where))


def test_a_class_without_a_pair_is_refused(refused):
    assert "class 2 has no image with a label" in refused(matching.stage, settings(), context((6, 6, 0, 6)))


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (np.full((4, CLASSES), 0.3), "sum to 1.2, not to 1; type --config.matching.labels=pairs"),
        (np.full((4, CLASSES + 1), 0.2), "knows 5 classes and the data set has 4"),
        (np.full((4, CLASSES), np.nan), "not to 1"),
    ],
)
def test_what_a_labeller_says_must_be_probabilities_of_the_classes(found, says, refused):
    seen = View(np.zeros((4, 2, 2, 1), np.uint8), np.full(4, UNPAIRED, np.int32))
    where = context(posterior=lambda params, images: jnp.asarray(found, jnp.float32)[: len(images)])
    assert says in refused(unpaired.relabel(settings(), where), seen, {})


def test_recipes_of_labellers_can_be_built(tiny):
    config = tiny(data__paired=100)
    with config.unlocked():
        config.labeller = sections.labeller(batch_size=30, pairs=10)
        config.stages = ("representation", "labeller", "matching")
    config.matching.labels = "sampled"
    assert [task.name for task in build(config, load.load(config.data, config.seed))] == list(config.stages)
