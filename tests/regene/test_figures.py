"""The paper's figures of planted runs of known numbers: the autoencoder is the identity, the latents are pixels."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from skimage.metrics import structural_similarity

from experiment_jax import load_config, train
from experiment_jax.data import load
from experiment_jax.data import split as data
from experiment_jax.evaluation.real_images import real_images
from experiment_jax.evaluation.reference import Reference
from experiment_jax.extractors.judge import Judge
from experiment_jax.method.stage import Model, Samples
from experiment_jax.runs.run import Run
from regene_jax import figures, sections
from regene_jax.combinations import build_bank
from regene_jax.figures import figure_3, figure_5, figure_6
from regene_jax.figures.numbers import combining
from regene_jax.figures.transitions import RATIOS, pairs, transitions

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def config():
    own = {"judge": "configs/judge_digits.py", "data.paired": 100, "evaluation.batch_size": 250}
    return load_config("configs/lsdm_digits.py", own)


@dataclasses.dataclass(frozen=True)
class Planted(Run):
    """A run whose model was not trained: other settings of the hull give what `combining` says, of a number."""

    combining: Callable[[int], Run] | None = None

    def with_settings(self, overrides):
        assert overrides["hull.weights"] == "uniform"
        return self.combining(overrides["hull.n"])


def encode(params, images):
    return images.reshape(len(images), -1)


def decode(params, latents):
    return latents.reshape(-1, *SHAPE)


def sample(params, keys, labels):
    noise = jax.vmap(lambda key: jax.random.uniform(key, (64,), minval=-1.0))(keys)
    return Samples.untested(decode(params, noise), noise)


@pytest.fixture(scope="module")
def plant(config, tmp_path_factory):
    """`plant(decode=…)` -> a run whose latents are the pixels; one of no other settings is made once."""
    dataset = load.load(config.data, 0)

    @functools.cache
    def build(**provided):
        model = Model(**dict(encode=encode, decode=decode, sample=sample, latent_size=64) | provided)
        return Planted(tmp_path_factory.mktemp("planted"), config, model, 0, dataset)

    return build


@pytest.fixture(scope="module")
def reference(config, plant):
    """All test images under a judge whose features are the pixels, and whose verdict is the nearest class's mean."""
    real, _ = real_images(config, "test", 450)
    pixels = real.train.images.reshape(len(real.train), -1) / 127.5 - 1.0
    means = np.stack([pixels[real.train.labels == label].mean(axis=0) for label in range(10)]).astype(np.float32)
    model = plant(classify=lambda params, z: z @ means.T - (means**2).sum(axis=1) / 2).model
    return Reference(Judge(Path(), dict(sha256="0" * 64, data=dict(title="digits")), model), real)


def uniform(seed, count):
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def test_a_perfect_decoder_stays_at_distance_zero_and_a_bad_one_moves_away_from_there(plant, reference):
    perfect, drawn = figures.mixing(plant(), reference)
    real = reference.measure_real()["accuracy_real"]
    assert len(perfect) == 22 and drawn["mixing"].dtype == np.uint8
    for ratio in np.round(np.arange(11) / 10, 1):
        assert perfect[f"fd_mix_{ratio}"] == pytest.approx(0.0, abs=1e-3)
        assert perfect[f"accuracy_mix_{ratio}"] == real
    negative = plant(decode=lambda params, latents: -latents.reshape(-1, *SHAPE))
    found, _ = figures.mixing(negative, reference)
    recon, _ = reference.measure_reconstructions(negative.decode(negative.encode(reference.compared.images)))
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
    few, many = uniform(0, 4), uniform(1, 311)  # not a multiple of the batch size
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


def test_a_copy_is_the_closest_in_every_order(plant, reference, refused):
    run = plant()
    train = run.dataset.train.images
    copies = train[[7, 11, 4, 130, 401, 1000]]
    for order in figure_6.orders(run.model).values():
        found = figure_6.nearest(run, order, copies, train, 2)
        np.testing.assert_array_equal(train[found[:, 0]], copies)
    metrics, drawn = figures.closest(run, reference)
    assert not metrics and drawn.keys() == {"closest_training", "closest_generations"}
    assert "do not sample" in refused(figures.closest, plant(sample=None), reference)


def test_transitions_are_straight_in_the_latents_and_end_in_the_images(plant):
    first, second = uniform(0, 3), uniform(1, 3)
    found = transitions(plant(), first, second)
    assert found.shape == (3, 11, *SHAPE) and RATIOS == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    for place, ratio in enumerate((0.0, *RATIOS, 1.0)):
        expected = (1 - ratio) * first.astype(float) + ratio * second
        np.testing.assert_allclose(found[:, place].astype(float), expected, atol=0.51)


def test_pairs_are_of_one_class_and_of_images_that_the_run_classifies_rightly(plant, reference):
    images = reference.compared
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


def with_config(run, **changes):
    """The run with other entries of its config."""
    config = run.config.copy_and_resolve_references()
    with config.unlocked():
        config.update(changes)
    return dataclasses.replace(run, config=config)


@pytest.fixture(scope="module")
def hull(plant):
    """A run with a hull of all training images, weights 1 : 2."""
    run = plant()
    view = data.view(run.dataset, "paired")
    section = sections.hull(weights="ratio", ratio=(1 / 3, 2 / 3))
    bank = build_bank(run.encode(view.images).astype(np.float16), view.labels, 10)
    run = with_config(run, hull=section, stages=(*run.config.stages, "hull"))
    return dataclasses.replace(run, model=run.model.bind(hull=bank))


def test_where_latents_are_pixels_a_combination_is_the_overlay_of_its_sources(hull):
    decoded, overlays = figure_5.combined(hull)
    view = data.view(hull.dataset, "paired")
    for label in range(10):
        own = view.images[view.labels == label].astype(float).reshape(-1, 64)
        thirds = (overlays[0, label].astype(float).ravel() - 2 * own / 3) * 3  # for each second source, the first
        assert np.abs(thirds[:, None] - own).max(axis=-1).min() < 2.0  # rounding, times three
    np.testing.assert_allclose(decoded.astype(float), overlays.astype(float), atol=1.01)


def test_combinations_of_each_number_have_their_rows(hull, reference):
    numbers = []
    run = dataclasses.replace(hull, combining=lambda number: numbers.append(number) or hull)
    metrics, drawn = figures.combinations(run, reference)
    assert not metrics and numbers == [2, 3, 5]
    rows, columns = 3 * 2 * 2, 10
    assert drawn["combinations"].shape[0] == rows * 34 + 2 and drawn["combinations"].shape[1] > columns * 34
    assert drawn["transitions"].shape == (10 * 34 + 2, 11 * 34 + 2, 3)


def test_accuracies_are_the_judges_on_samples_of_each_number(hull, reference):
    real, labels = reference.compared.images, reference.compared.labels
    table = jnp.asarray(np.stack([real[labels == label][0] for label in range(10)])) / 127.5 - 1.0

    def sampling(number):  # a real image of class label + number - 2: what was asked for with n = 2 alone
        def sample(params, keys, condition):
            images = table[(condition + number - 2) % 10]
            return Samples.untested(images, images.reshape(len(images), -1))

        return dataclasses.replace(hull, model=dataclasses.replace(hull.model, sample=sample))

    found, drawn = figures.accuracies(dataclasses.replace(hull, combining=sampling), reference)
    verdicts = reference.judge.classify(reference.judge.encode(np.rint((table + 1) * 127.5).astype(np.uint8)))
    for number in (2, 3, 5):
        expected = np.mean(verdicts == (np.arange(10) - number + 2) % 10)
        assert found.pop(f"accuracy_gen_n{number}") == pytest.approx(expected)
    assert not found and not drawn  # no acceptance, no share that was accepted


def test_what_needs_a_hull_says_so(plant, reference, refused):
    for function in (figures.combinations, figures.accuracies, lambda run, _: combining(run, 2)):
        message = refused(function, plant(), reference)
        assert message.endswith("representation, matching hold no hull; take a run with a stage hull")


def test_an_embedding_is_the_same_at_every_call_and_keeps_far_clusters_apart():
    labels = np.arange(60) % 3
    latents = 30 * np.eye(11)[labels] + np.random.default_rng(0).normal(size=(60, 11))
    points = figure_3.embed(latents.astype(np.float32))
    np.testing.assert_array_equal(points, figure_3.embed(latents.astype(np.float32)))
    centres = np.stack([points[labels == label].mean(axis=0) for label in range(3)])
    distances = np.linalg.norm(points[:, None] - centres, axis=2)
    np.testing.assert_array_equal(distances.argmin(axis=1), labels)


@pytest.fixture(scope="module")
def autoencoder(tiny, one, tmp_path_factory):
    """The directory of an autoencoder's run, of which nothing is trained."""
    config, workdir = tiny(data__validation=0, representation__steps=0), tmp_path_factory.mktemp("autoencoder") / "run"
    with config.unlocked():
        config.stages = ("representation",)
    train(config, workdir, one)
    return workdir


def test_the_autoencoders_latents_stand_next_to_them_where_its_run_is_named(plant, reference, autoencoder, refused):
    def latent_spaces(run):
        return figures.latent_spaces(run, reference, embed=lambda latents: latents[:, :2])

    def naming(run, workdir):
        section = ConfigDict({**run.config.evaluation, "autoencoder": workdir})
        return with_config(run, evaluation=section)

    alone = latent_spaces(plant())[1]
    run = plant(classify=lambda params, latents: jnp.zeros((len(latents), 10)).at[:, 4].set(1.0))
    both = latent_spaces(naming(run, str(autoencoder)))[1]
    assert both["latent_spaces"].shape[1] > 1.5 * alone["latent_spaces"].shape[1]
    assert both["latent_space_transitions"].shape[0] == 2 * 34 + 2  # one class, two spaces
    message = refused(latent_spaces, naming(run, "nowhere"))
    assert message.startswith("evaluation.autoencoder=nowhere: ") and "holds no run" in message
