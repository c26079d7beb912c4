"""The paper's evidence on planted runs of known numbers: the autoencoder is the identity, the latents are pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from experiment_jax import UserError, load_config
from experiment_jax.data import split as data
from experiment_jax.evaluation import reference as judged
from experiment_jax.method.stage import Model, Samples
from experiment_jax.runs.run import Run
from regene_jax import evidence, sections
from regene_jax.combinations import build_bank
from regene_jax.evidence import figure_3, figure_4, figure_5, figure_6
from regene_jax.evidence.numbers import combining
from regene_jax.evidence.transitions import RATIOS, pairs, transitions

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def config():
    return load_config("configs/lsdm_digits.py", {"judge": "configs/judge_digits.py:smoke", "data.paired": 100})


@pytest.fixture(scope="module")
def bench(config):
    return judged.bench(config, "test_450", None)[0]


@pytest.fixture
def plant(config, tmp_path):
    """`plant(decode=…)` -> a run whose latents are the pixels."""
    dataset = data.load(config.data, 0)

    def encode(params, images):
        return images.reshape(len(images), -1)

    def decode(params, latents):
        return latents.reshape(-1, *SHAPE)

    def sample(params, keys, labels):
        noise = jax.vmap(lambda key: jax.random.uniform(key, (64,), minval=-1.0))(keys)
        return Samples.untested(decode(params, noise), noise)

    def build(**provided):
        model = Model(**dict(encode=encode, decode=decode, sample=sample, latent_size=64) | provided)
        return Run(tmp_path, config, model, 0, dataset)

    return build


def uniform(seed, count):
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def test_a_perfect_decoder_stays_at_distance_zero_and_a_bad_one_moves_away_from_there(plant, bench):
    perfect, drawn = evidence.mixing(plant(), bench)
    real = judged.measure_real(bench)["accuracy_real"]
    assert len(perfect) == 22 and drawn["mixing"].dtype == np.uint8
    for ratio in np.round(np.arange(11) / 10, 1):
        assert perfect[f"fd_mix_{ratio}"] == pytest.approx(0.0, abs=1e-3)
        assert perfect[f"accuracy_mix_{ratio}"] == real
    negative = plant(decode=lambda params, latents: -latents.reshape(-1, *SHAPE))
    found, _ = evidence.mixing(negative, bench)
    recon = judged.measure_reconstructions(bench, negative.decode(negative.encode(bench.reference.images)), None)
    assert found["fd_mix_1.0"] > 2 * found["fd_mix_0.1"] > 4 * abs(found["fd_mix_0.0"])
    assert found["accuracy_mix_0.0"] == real
    assert (found["fd_mix_1.0"], found["accuracy_mix_1.0"]) == (
        pytest.approx(recon["fd_recon"]),
        recon["accuracy_recon"],
    )


def test_the_closest_images_are_those_of_a_plain_loop(plant):
    weights = np.random.default_rng(2).normal(size=(64, 3)).astype(np.float32)

    def features(params, images):
        maps = (images.reshape(-1, 64) @ weights).reshape(-1, 1, 1, 3)
        return [images[:, ::2, ::2], maps]

    run = plant(encode=lambda params, images: images.reshape(-1, 64) @ weights, features=features)
    few, many = uniform(0, 4), uniform(1, 1211)  # not a multiple of the chunk
    pixels = [images.reshape(-1, 64) / 127.5 - 1 for images in (few, many)]

    def squares(first, second):
        return ((first - second) ** 2).mean()

    def similarity(first, second):
        settings = dict(gaussian_weights=True, sigma=0.8, win_size=7, use_sample_covariance=False, data_range=2.0)
        full = structural_similarity(first.reshape(8, 8), second.reshape(8, 8), full=True, **settings)[1]
        return -full[3:-3, 3:-3].mean()

    def levels(first, second):
        first_map, second_map = (x.reshape(8, 8)[::2, ::2] for x in (first, second))
        return squares(first_map, second_map) + squares(first @ weights, second @ weights)

    references = {
        "MSE": squares,
        "SSIM": similarity,
        "latents": lambda first, second: squares(first @ weights, second @ weights),
        "features": levels,
    }
    orders = figure_6.orders(run.model)
    assert orders.keys() == references.keys()
    for name, distance in references.items():
        expected = [np.argsort([distance(image, other) for other in pixels[1]])[:5] for image in pixels[0]]
        np.testing.assert_array_equal(figure_6.nearest(run, orders[name], few, many, 5), expected, err_msg=name)


def test_a_copy_is_the_closest_in_every_order(plant, bench):
    run = plant()
    train = run.dataset.train.images
    for order in figure_6.orders(run.model).values():
        found = figure_6.nearest(run, order, train[[7, 11, 4]], train, 2)
        np.testing.assert_array_equal(train[found[:, 0]], train[[7, 11, 4]])
    metrics, drawn = evidence.closest(run, bench)
    assert not metrics and drawn.keys() == {"closest_training", "closest_generations"}
    with pytest.raises(UserError, match="do not sample"):
        evidence.closest(plant(sample=None), bench)


def test_transitions_are_straight_in_the_latents_and_end_in_the_images(plant):
    first, second = uniform(0, 3), uniform(1, 3)
    found = transitions(plant(), first, second)
    assert found.shape == (3, 11, *SHAPE) and RATIOS == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    for place, ratio in enumerate((0.0, *RATIOS, 1.0)):
        expected = (1 - ratio) * first.astype(float) + ratio * second
        np.testing.assert_allclose(found[:, place].astype(float), expected, atol=0.51)


def test_pairs_are_of_one_class_and_of_images_that_the_run_classifies_rightly(plant, bench):
    images = bench.reference
    marked = data.Split(images.images.copy(), images.labels)
    marked.images[:, 0, 0, 0] = np.arange(len(images)) % 200  # who is who

    def classify(params, latents):  # only images marked below 50 are taken for what they are: 9 of class 3 …
        own = jnp.round((latents[:, 0] + 1) * 127.5)
        return jax.nn.one_hot(jnp.where(own < 50, 3, 10), 11)

    with pytest.raises(ValueError, match="need at least one array"):
        pairs(data.Split(marked.images[50:60], marked.labels[50:60]), plant(classify=classify), 10)
    first, second = pairs(marked, plant(classify=classify), 10)
    assert first.shape == second.shape == (1, *SHAPE)
    assert max(first[0, 0, 0, 0], second[0, 0, 0, 0]) < 50
    assert (first != second).any()
    first, second = pairs(images, plant(), 4)
    of = {image.tobytes(): label for image, label in zip(images.images, images.labels, strict=True)}
    assert [of[image.tobytes()] for image in first] == [0, 1, 2, 3] == [of[image.tobytes()] for image in second]


@pytest.fixture
def hull(plant):
    """A run with a hull of all training images, weights 1 : 2."""
    run = plant()
    view = data.view(run.dataset, "paired")
    config = run.config.copy_and_resolve_references()
    with config.unlocked():
        config.hull = sections.hull(weights="ratio", ratio=(1 / 3, 2 / 3))
        config.stages = (*config.stages, "hull")
    bank = build_bank(run.encode(view.images).astype(np.float16), view.labels, 10)
    return Run(run.workdir, config, run.model.bind(hull=bank), 0, run.dataset)


def test_where_latents_are_pixels_a_combination_is_the_overlay_of_its_sources(hull):
    decoded, overlays = figure_5.combined(hull)
    view = data.view(hull.dataset, "paired")
    for label in range(10):
        own = view.images[view.labels == label].astype(float).reshape(-1, 64)
        thirds = (overlays[0, label].astype(float).ravel() - 2 * own / 3) * 3  # for each second source, the first
        assert np.abs(thirds[:, None] - own).max(axis=-1).min() < 2.0  # rounding, times three
    np.testing.assert_allclose(decoded.astype(float), overlays.astype(float), atol=1.01)


def test_combinations_of_each_number_have_their_rows(hull, bench, monkeypatch):
    numbers = []
    monkeypatch.setattr(figure_5, "combining", lambda run, number: numbers.append(number) or run)
    metrics, drawn = evidence.combinations(hull, bench)
    assert not metrics and numbers == [2, 3, 5]
    rows, columns = 3 * 2 * 2, 10
    assert drawn["combinations"].shape[0] == rows * 34 + 2 and drawn["combinations"].shape[1] > columns * 34
    assert drawn["transitions"].shape == (10 * 34 + 2, 11 * 34 + 2, 3)


def test_accuracies_are_the_judges_on_samples_of_each_number(plant, bench, monkeypatch):
    real, labels = bench.reference.images, bench.reference.labels
    table = jnp.asarray(np.stack([real[labels == label][0] for label in range(10)])) / 127.5 - 1.0

    def sampling(run, number):  # a real image of class label + number - 2: what was asked for with n = 2 alone
        def sample(params, keys, condition):
            images = table[(condition + number - 2) % 10]
            return Samples.untested(images, images.reshape(len(images), -1))

        return plant(sample=sample)

    monkeypatch.setattr(figure_4, "combining", sampling)
    found, drawn = evidence.accuracies(plant(), bench)
    verdicts = bench.judge.classify(bench.judge.encode(np.asarray(jnp.round((table + 1) * 127.5)).astype(np.uint8)))
    for number in (2, 3, 5):
        expected = np.mean(verdicts == (np.arange(10) - number + 2) % 10)
        assert found.pop(f"accuracy_gen_n{number}") == pytest.approx(expected)
    assert not found and not drawn  # no acceptance, no share that was accepted


def test_what_needs_a_hull_says_so(plant, bench):
    for function in (evidence.combinations, evidence.accuracies, lambda run, bench: combining(run, 2)):
        with pytest.raises(UserError, match="representation, matching hold no hull; take a run with a stage hull"):
            function(plant(), bench)


def test_an_embedding_is_the_same_at_every_call_and_keeps_far_clusters_apart():
    labels = np.arange(60) % 3
    latents = 30 * np.eye(11)[labels] + np.random.default_rng(0).normal(size=(60, 11))
    points = figure_3.embed(latents.astype(np.float32))
    np.testing.assert_array_equal(points, figure_3.embed(latents.astype(np.float32)))
    centres = np.stack([points[labels == label].mean(axis=0) for label in range(3)])
    distances = np.linalg.norm(points[:, None] - centres, axis=2)
    np.testing.assert_array_equal(distances.argmin(axis=1), labels)


def test_the_autoencoders_latents_stand_beside_where_its_run_is_named(plant, bench, finished, monkeypatch):
    monkeypatch.setattr(figure_3, "embed", lambda latents: latents[:, :2])
    alone = evidence.latent_spaces(plant(), bench)[1]
    run = plant(classify=lambda params, latents: jnp.zeros((len(latents), 10)).at[:, 4].set(1.0))
    config = run.config.copy_and_resolve_references()
    with config.unlocked():
        config.evaluation.autoencoder = str(finished[1])
    both = evidence.latent_spaces(Run(run.workdir, config, run.model, 0, run.dataset), bench)[1]
    assert both["latent_spaces"].shape[1] > 1.5 * alone["latent_spaces"].shape[1]
    assert both["latent_space_transitions"].shape[0] == 2 * 34 + 2  # one class, two spaces
    with config.unlocked():
        config.evaluation.autoencoder = "nowhere"
    with pytest.raises(UserError, match=r"^evaluation\.autoencoder=nowhere: .* holds no run"):
        evidence.latent_spaces(Run(run.workdir, config, run.model, 0, run.dataset), bench)
