"""Convex combinations: weights, members, neighbours and Lemma 1; the stage of a hull, and runs that end in one."""

import functools
import itertools
import re
import shutil
from pathlib import Path

import hypothesis.extra.numpy as arrays
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict
from sklearn.neighbors import NearestNeighbors

from experiment_jax import evaluate, load_run, train
from experiment_jax.config import sections
from experiment_jax.data.split import View
from experiment_jax.method.stage import Context, Model
from experiment_jax.runs.directory import read_config
from experiment_jax.training.logger import read_metrics
from regene_jax import hull
from regene_jax.combinations import Bank, Weights, build_bank, combine

LATENT, CLASSES = 4, 3
SIZES = (11, 12, 7)
LABELS = np.repeat(np.arange(CLASSES, dtype=np.int32), SIZES)
SHUFFLED = np.random.default_rng(0).permutation(len(LABELS))
IDENTITY = np.eye(30, dtype=np.float16)  # latents that show in a combination which of them it is made of, and how much

WEIGHTS = [
    Weights(2),
    Weights(3),
    Weights(2, "ratio", (0.3, 0.7)),
    Weights(5, "dirichlet"),
    Weights(3, "dirichlet", alpha=0.5),
]

BATCH, MEMBERS, COLUMNS = 500, 300, 30  # of the one shape that `drawn_from` compiles for


@functools.partial(jax.jit, static_argnums=1)
def compiled(bank, weights, keys, labels):
    return combine(bank, weights, jax.random.wrap_key_data(keys), labels)


@jax.jit
def split(seed, number):
    return jax.random.key_data(jax.random.split(jax.random.fold_in(jax.random.key(seed), number), BATCH))


def keys(count, seed=0):
    """Keys as numbers uint32 `[count, 2]`."""
    return np.concatenate([split(np.uint32(seed), number) for number in range(-(-count // BATCH))])[:count]


def drawn_from(bank, weights, keys, labels):
    """Combinations `[count, latent]`, by one program for each weights; of padding no member is drawn."""
    rows, columns = bank.latents.shape
    more, classes = (0, MEMBERS - rows), (0, 4 - len(bank.starts))
    padded = Bank(
        np.pad(bank.latents, (more, (0, COLUMNS - columns))),
        np.pad(bank.images, more),
        np.pad(bank.starts, classes),
        np.pad(bank.counts, classes),
        None if bank.neighbours is None else np.pad(bank.neighbours, (more, (0, 0))),
    )
    parts = []
    for start in range(0, len(keys), BATCH):
        own = np.resize(keys[start : start + BATCH], (BATCH, 2))
        parts.append(compiled(padded, weights, own, np.resize(labels[start : start + BATCH], BATCH).astype(np.int32)))
    latents = np.concatenate(parts)[: len(keys)]
    assert not latents[:, columns:].any()
    return latents[:, :columns]


def ones(count):
    return np.ones(count, np.int32)


def zeros(count):
    return np.zeros(count, np.int32)


def shares(weights, count=4000, k=None):
    """θ of combinations in a class of 11 between two others: `[count, 30]`, a column for each member of the bank."""
    labels = np.repeat(np.arange(3, dtype=np.int32), (9, 11, 10))
    return drawn_from(build_bank(IDENTITY, labels, 3, k), weights, keys(count), ones(count))


@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
def test_weights_are_convex_and_of_n_distinct_members_of_the_class(weights, strict):
    theta = shares(weights)
    assert theta.min() >= 0
    np.testing.assert_allclose(theta.sum(axis=1), 1, atol=1e-6)
    assert not theta[:, :9].any() and not theta[:, 20:].any()
    np.testing.assert_array_equal((theta > 0).sum(axis=1), weights.n)
    if weights.kind == "uniform":
        np.testing.assert_allclose(theta[theta > 0], 1 / weights.n, rtol=1e-6)


@pytest.mark.parametrize(("n", "alpha"), [(2, 1.0), (3, 1.0), (3, 0.5), (4, 6.0)])
def test_dirichlet_weights_have_the_moments_of_that_law(n, alpha):
    """θᵢ ~ Beta(α, (n − 1)α), and the covariance of two is −1 / (n² (nα + 1))."""
    theta = shares(Weights(n, "dirichlet", alpha=alpha), 40_000)
    theta = theta[theta > 0].reshape(-1, n)  # of members in the bank's order, which θ does not depend on
    np.testing.assert_allclose(theta.mean(axis=0), 1 / n, atol=0.006)
    expected = (np.eye(n) * n - 1) / (n**2 * (n * alpha + 1))
    np.testing.assert_allclose(np.cov(theta.T), expected, atol=0.03 * expected[0, 0])
    # The second largest moment tells laws apart that share mean and variance: E θ³ = Π (α + j) / (nα + j).
    third = np.prod([(alpha + j) / (n * alpha + j) for j in range(3)])
    np.testing.assert_allclose(np.mean(theta**3), third, rtol=0.03)


def test_a_small_alpha_gives_corners_and_no_nan():
    theta = shares(Weights(3, "dirichlet", alpha=1e-3), 500)
    assert np.isfinite(theta).all()
    assert np.mean(theta.max(axis=1) > 0.99) > 0.9


def chi_square(counts):
    expected = counts.sum() / counts.size
    return ((counts - expected) ** 2).sum() / expected


@pytest.mark.parametrize("n", [2, 3])
def test_random_partners_are_uniform_over_ordered_tuples(n):
    ratio = tuple(np.arange(1, n + 1) / np.arange(1, n + 1).sum())  # unequal, so that the order shows
    bank = build_bank(np.eye(4, dtype=np.float16), np.zeros(4, np.int32), 1)
    draws = 24_000
    theta = drawn_from(bank, Weights(n, "ratio", ratio), keys(draws), zeros(draws))
    tuples = list(itertools.permutations(range(4), n))
    patterns = np.zeros((len(tuples), 4))
    for row, members in enumerate(tuples):
        patterns[row, list(members)] = ratio
    counts = (np.abs(theta[:, None] - patterns).max(axis=2) < 1e-5).sum(axis=0)
    assert counts.sum() == draws
    freedom = len(tuples) - 1
    assert chi_square(counts) < freedom + 4 * np.sqrt(2 * freedom)


def test_a_class_of_exactly_n_is_combined_whole():
    bank = build_bank(np.eye(3, dtype=np.float16), np.zeros(3, np.int32), 1)
    np.testing.assert_allclose(drawn_from(bank, Weights(3), keys(50), zeros(50)), 1 / 3, rtol=1e-6)


def test_neighbours_are_the_nearest_of_the_class_without_the_member_itself():
    latents = np.random.default_rng(1).normal(size=(30, LATENT)).astype(np.float16)
    bank = build_bank(latents[SHUFFLED], LABELS[SHUFFLED], CLASSES, 5)
    for start, count in zip(bank.starts, bank.counts, strict=True):
        own = bank.latents[start : start + count].astype(np.float64)
        reference = NearestNeighbors(n_neighbors=6, algorithm="kd_tree").fit(own).kneighbors(own)[1][:, 1:]
        np.testing.assert_array_equal(bank.neighbours[start : start + count] - start, reference)


def test_a_duplicate_is_a_neighbour_and_the_member_itself_is_not():
    bank = build_bank(np.ones((6, 2), np.float16), np.zeros(6, np.int32), 1, 3)
    assert not np.any(bank.neighbours == np.arange(6)[:, None])


def test_with_neighbours_an_anchor_meets_only_its_own():
    ratio = Weights(3, "ratio", (0.5, 0.3, 0.2))
    theta = shares(ratio, k=4)
    bank = build_bank(IDENTITY, np.repeat(np.arange(3, dtype=np.int32), (9, 11, 10)), 3, 4)
    anchors, others = theta.argmax(axis=1), np.argsort(-theta, axis=1)[:, 1:3]
    assert (others[:, :, None] == bank.neighbours[anchors][:, None]).any(axis=2).all()
    assert chi_square(np.bincount(anchors, minlength=20)[9:20]) < 10 + 4 * np.sqrt(20)
    places = (others[:, :1] == bank.neighbours[anchors]).argmax(axis=1)
    assert chi_square(np.bincount(places, minlength=4)) < 3 + 4 * np.sqrt(6)


def test_the_bank_is_sorted_by_class_and_says_where_each_begins():
    latents = np.arange(30, dtype=np.float16)[:, None]
    bank = build_bank(latents[SHUFFLED], LABELS[SHUFFLED], CLASSES + 1)
    np.testing.assert_array_equal(bank.counts, [*SIZES, 0])
    np.testing.assert_array_equal(bank.starts, [0, 11, 23, 30])
    np.testing.assert_array_equal(LABELS[bank.latents[:, 0].astype(int)], LABELS)


@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
def test_one_key_makes_one_combination_whatever_the_batch(weights):
    latents = np.random.default_rng(2).normal(size=(30, LATENT)).astype(np.float16)
    bank = build_bank(latents, LABELS, CLASSES)
    labels, own = np.arange(11) % CLASSES, keys(11)
    whole = drawn_from(bank, weights, own, labels)
    part = compiled(bank, weights, own[4:7], labels[4:7].astype(np.int32))
    np.testing.assert_allclose(part, whole[4:7], rtol=1e-6)
    other = drawn_from(bank, weights, np.concatenate([keys(5, 1), own[5:]]), labels)
    np.testing.assert_array_equal(other[5:], whole[5:])
    assert np.sum(np.abs(other[:5] - whole[:5]).max(axis=1) > 1e-3) >= 3  # two keys may choose the same two members


@pytest.mark.parametrize("n", [2, 3, 5])
def test_uniform_combinations_of_n_have_the_spread_of_a_class_over_the_root_of_n(n):
    latents = np.random.default_rng(3).normal(size=(MEMBERS, LATENT)).astype(np.float16)
    found = drawn_from(build_bank(latents, zeros(MEMBERS), 1), Weights(n), keys(4000), zeros(4000))
    np.testing.assert_allclose(found.std() / latents.astype(np.float64).std(), 1 / np.sqrt(n), rtol=0.04)


@given(
    points=arrays.arrays(np.float16, (12, LATENT), elements=st.floats(-8, 8, width=16)),
    normal=arrays.arrays(np.float32, LATENT, elements=st.floats(-4, 4, width=32)),
    weights=st.sampled_from(WEIGHTS),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=30, deadline=None)
def test_lemma_1_a_half_space_that_holds_the_members_holds_their_combinations(points, normal, weights, seed):
    heights = points.astype(np.float64) @ normal.astype(np.float64)
    bank = build_bank(points, np.zeros(12, np.int32), 1)
    found = drawn_from(bank, weights, keys(20, seed), zeros(20)).astype(np.float64) @ normal
    rounding = 1e-5 * (1 + np.abs(points).max() * np.abs(normal).sum())
    assert heights.min() - rounding <= found.min() and found.max() <= heights.max() + rounding


@given(seed=st.integers(0, 2**31), weights=st.sampled_from(WEIGHTS))
@settings(max_examples=30, deadline=None)
def test_lemma_1_a_linear_head_calls_combinations_what_it_calls_their_members(seed, weights):
    generator = np.random.default_rng(seed)
    head, bias = generator.normal(size=(LATENT, CLASSES)), generator.normal(size=CLASSES)
    points = generator.normal(size=(300, LATENT)).astype(np.float16)
    labels = np.argmax(points @ head + bias, axis=1).astype(np.int32)
    present = np.flatnonzero(np.bincount(labels, minlength=CLASSES) >= 5)
    asked = generator.choice(present, 60).astype(np.int32)
    found = drawn_from(build_bank(points, labels, CLASSES), weights, keys(60, seed), asked)
    logits = found.astype(np.float64) @ head + bias
    assert np.all(logits[np.arange(60), asked] >= logits.max(axis=1) - 1e-5)


def section(**own):
    defaults = dict(
        view="paired", n=2, weights="uniform", ratio=(), alpha=1.0, partners="random", k=4, only_classified=True
    )
    return ConfigDict({**defaults, **own})


def context(counts=SIZES, **model):
    """After a classifier of 2×2 grey images whose latent is the image, and whose class is the brightest of 3 pixels."""
    functions = dict(
        encode=lambda params, images: images.reshape(len(images), 4),
        decode=lambda params, z: z.reshape(-1, 2, 2, 1),
        classify=lambda params, z: 10 * z[:, :CLASSES],
    )
    counts = np.asarray(counts)
    weights = counts / counts.sum()
    return Context("hull", (2, 2, 1), CLASSES, weights, counts, 0, Model(**{**functions, **model}))


def view(wrong=()):
    """Images of which the brightest pixel tells the class, but for those at the indices `wrong`."""
    generator = np.random.default_rng(4)
    pixels = generator.integers(0, 100, (30, 4))
    shown = LABELS.copy()
    shown[list(wrong)] = (shown[list(wrong)] + 1) % CLASSES
    pixels[np.arange(30), shown] = 255
    return View(pixels.reshape(30, 2, 2, 1).astype(np.uint8), LABELS)


def test_the_bank_holds_only_latents_that_are_classified_as_their_label():
    wrong = [2, 3, 14, 29]
    bank = hull.stage(section(), context()).finish({}, view(wrong), {})
    np.testing.assert_array_equal(bank.counts, [9, 11, 6])
    np.testing.assert_array_equal(bank.left_out, [2, 1, 1])
    assert bank.latents.dtype == np.float16
    expected = np.delete(view(wrong).images.reshape(30, 4), wrong, axis=0) / 127.5 - 1
    np.testing.assert_allclose(bank.latents, expected, atol=1e-3)


@pytest.mark.parametrize(("own", "model"), [({}, {"classify": None}), ({"only_classified": False}, {})])
def test_without_a_head_or_where_it_is_not_asked_all_latents_are_combined(own, model):
    bank = hull.stage(section(**own), context(**model)).finish({}, view([2, 3]), {})
    np.testing.assert_array_equal(bank.counts, SIZES)
    assert not bank.left_out.any()


def test_samples_are_the_decoded_combinations():
    stage = hull.stage(section(n=3, partners="neighbours"), context())
    params = {"hull": stage.finish({}, view(), {})}
    own = jax.random.split(jax.random.key(0), 11)
    samples = jax.jit(stage.provides["sample"])(params, own, np.arange(11) % CLASSES)
    np.testing.assert_array_equal(samples.images.reshape(11, 4), samples.latents)
    np.testing.assert_array_equal(np.argmax(samples.latents[:, :3], axis=1), np.arange(11) % CLASSES)
    assert samples.accepted.all() and (samples.tries == 1).all() and stage.provides["nfe"] == 1


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (dict(view="all"), r"type --config\.hull\.view=paired$"),
        (dict(n=1), r"hull\.n=1: .*type --config\.hull\.n=2$"),
        (dict(n=8), r"hull\.n=8: class 2 has 7 members to combine; type --config\.hull\.n=7$"),
        (dict(weights="ratios"), "choose one of uniform, ratio, dirichlet$"),
        (dict(partners="near"), "choose one of random, neighbours$"),
        (dict(weights="ratio", ratio=(1.0,)), r"give n=2 numbers .* --config\.hull\.ratio=\(0.5,0.5\)$"),
        (dict(weights="ratio", ratio=(1.5, -0.5)), "that are not negative"),
        (dict(weights="ratio", ratio=(0.3, 0.6)), "sum to 1"),
        (dict(weights="ratio", ratio=(0.5, float("nan"))), "sum to 1"),
        (dict(weights="ratio", ratio=("a", "b")), "numbers"),
        (dict(weights="dirichlet", alpha=0.0), r"type --config\.hull\.alpha=1\.0$"),
        (dict(weights="dirichlet", alpha=float("nan")), "must be positive"),
        (dict(partners="neighbours", n=4, k=2), r"n=4 needs 3 neighbours; type --config\.hull\.k=3$"),
        (dict(partners="neighbours", k=7), r"class 2 has 7 members.* type --config\.hull\.k=6$"),
    ],
)
def test_what_makes_no_convex_combination_is_refused_before_anything_is_trained(own, message, refused):
    assert re.search(message, refused(hull.stage, section(**own), context()))


@pytest.mark.parametrize("missing", ["encode", "decode"])
def test_stages_that_encode_and_decode_must_come_first(missing, refused):
    message = refused(hull.stage, section(), context(**{missing: None}))
    assert "stages: hull needs stages before it that encode and decode" in message


def test_a_class_with_one_label_gets_advice_on_labels(refused):
    message = refused(hull.stage, section(), context(counts=(4, 1, 3)))
    assert "class 1 has 1 members to combine; give more labels" in message


def test_a_class_too_small_once_the_misclassified_are_left_out_is_refused(refused):
    stage = hull.stage(section(n=5), context())
    message = refused(stage.finish, {}, view([23, 24, 25]), {})
    assert message.endswith("class 2 has 4 members to combine; type --config.hull.n=4")
    stage = hull.stage(section(partners="neighbours", k=6), context())
    message = refused(stage.finish, {}, view([23, 24]), {})
    assert message.endswith("class 2 has 5 members, each with 4 others; type --config.hull.k=4")


def test_a_class_of_which_nothing_is_classified_as_itself_is_named(refused):
    message = refused(hull.stage(section(), context()).finish, {}, view(range(23, 30)), {})
    assert "none of the 7 images of class 2 as that; train the classifier for longer" in message


def test_latents_beyond_float16_are_refused(refused):
    far = context(encode=lambda params, images: 1e6 + images.reshape(len(images), 4))
    assert "latents exceed 65504" in refused(hull.stage(section(), far).finish, {}, view(), {})


def on_autoencoder(config):
    """The config with a hull over the autoencoder's latents in place of a matcher."""
    with config.unlocked():
        config.stages = ("representation", "hull")
        own = dict(n=3, weights="dirichlet", ratio=(), alpha=1.0, partners="neighbours", k=4, only_classified=True)
        config.hull = sections.stage("regene_jax.hull:stage", view="paired", batch_size=7, steps=0, **own)
    return config


JUDGE = """
from experiment_jax.config.judges import judge_config

def get_config():
    config = judge_config("digits", steps=0, widths=(4,), features=8)
    config.evaluation.batch_size = 90
    return config
"""


@pytest.fixture(scope="module")
def finished_hull(tiny, tmp_path_factory):
    """(config, directory) of a hull over an autoencoder, of no steps, on eight devices that cannot share a batch."""
    folder = tmp_path_factory.mktemp("hull")
    (folder / "judge.py").write_text(JUDGE)
    changes = dict(judge=str(folder / "judge.py"), evaluation__batch_size=20)
    config, workdir = on_autoencoder(tiny(data__validation=0, representation__steps=0, **changes)), folder / "run"
    train(config, workdir, jax.devices())
    return config, workdir


def test_a_hull_over_an_autoencoder_is_trained_loaded_and_evaluated_as_any_method(finished_hull, tree, one, tmp_path):
    config, workdir = finished_hull[0], tmp_path / "run"
    shutil.copytree(finished_hull[1], workdir)
    assert not read_metrics(workdir)  # nothing is trained, so nothing is recorded
    assert not (workdir / "checkpoints" / "hull").exists()
    run = load_run(workdir)
    bank = run.model.params["hull"]
    assert bank.latents.dtype == np.float16 and len(bank.latents) == len(run.dataset.train) == 1347
    found = evaluate(run, num_samples=90)
    assert found["step"] == 0 and found["nfe"] == 1 and 0.3 < found["spread"] < 1
    assert not {"accepted", "acceptance_rate", "acceptance_rate_by_class"} & found.keys()
    before, known = tree(workdir), read_config(workdir)
    train(config, workdir, one)
    after, moved = tree(workdir), Path("config.json")  # in which paths lead from where the run was copied to
    assert {**after, moved: before[moved]} == before and read_config(workdir) == known


def test_a_stage_of_no_steps_needs_no_batch_that_devices_can_share(finished_hull):
    assert load_run(finished_hull[1]).sample(np.zeros(3, np.int32)).images.shape == (3, 8, 8, 1)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (dict(steps=5), "hull: has nothing to train; type --config.hull.steps=0"),
        (dict(best="spread"), "is not measured; type --config.hull.best="),
    ],
)
def test_steps_where_nothing_is_trained_are_refused_and_nothing_is_written(own, message, tiny, tmp_path, one, refused):
    config = on_autoencoder(tiny())
    with config.unlocked():
        config.hull.update(own)
    assert refused(train, config, tmp_path / "run", one).endswith(message)
    assert not (tmp_path / "run").exists()
