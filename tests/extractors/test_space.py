"""Distances in a network's features: names, numbers of samples, floors, bias, and what is refused."""

import numpy as np
import pytest

from experiment_jax import evaluate, load_run
from experiment_jax.devices import cache
from experiment_jax.evaluation.evaluate import reference_of
from experiment_jax.evaluation.plan import Plan
from experiment_jax.evaluation.reference import space_of
from experiment_jax.extractors.extractor import Extractor
from experiment_jax.extractors.space import Space
from experiment_jax.metrics import frechet, noise


def pixels(name="plain", digest="0" * 12, calls=None):
    """A network whose features are the means of four quarters of an image."""

    def features(images):
        if calls is not None:
            calls.append(len(images))
        halves = images.reshape(len(images), 2, images.shape[1] // 2, 2, -1)
        return halves.mean(axis=(2, 4)).reshape(len(images), 4).astype(np.float32)

    return Extractor(name, digest, 4, "none", features)


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("judge", ["fd_gen", "fd_floor", "kid_gen", "precision"]),
        ("vgg16", ["fd_gen_vgg16", "fd_floor_vgg16", "kid_gen_vgg16", "precision_vgg16"]),
        ("inception", ["fid_gen", "fid_floor", "kid_gen_inception", "precision_inception"]),
    ],
)
def test_distances_carry_the_name_of_their_network_and_fid_is_inceptions_alone(name, keys):
    space = Space(pixels(name), images(40), images(30, 1))
    features = space.extractor.features(images(50, 2))
    assert set(keys) <= (space.measure_samples(features) | space.floor()).keys()


def test_distances_are_those_of_the_moments_and_a_file_replaces_what_needs_no_more(monkeypatch):
    real, other, samples = images(40), images(30, 1), images(50, 2)
    network = pixels("judge")
    plain = Space(network, real, other)
    of = {name: frechet.moments([network.features(each)]) for name, each in (("r", real), ("o", other), ("s", samples))}
    found = plain.measure_samples(network.features(samples))
    assert found["fd_gen"] == frechet.frechet_distance(of["s"], of["r"])
    assert plain.floor() == {"fd_floor": frechet.frechet_distance(of["o"], of["r"])}
    given = Space(network, images(40, 9), other, given=of["r"])
    assert given.measure_samples(network.features(samples)) == {"fd_gen": found["fd_gen"]}
    assert given.floor() == plain.floor()


def test_a_public_network_sees_as_many_real_images_as_samples_of_the_same_classes(digits):
    reference, chosen = reference_of(digits(), Plan(num_samples=400))
    space = space_of(pixels(), 90, reference.real, chosen)
    assert len(space.images) == len(space.other) == len(space.take(np.arange(400))) == 90
    np.testing.assert_array_equal(space.take(np.asarray(chosen.images)), space.images)
    train = reference.real.train
    labels = {image.tobytes(): label for image, label in zip(train.images, train.labels, strict=True)}
    floor = np.bincount([labels[image.tobytes()] for image in space.other], minlength=10)
    np.testing.assert_array_equal(floor, np.bincount(space.take(chosen.labels), minlength=10))
    assert space.describe() == {"extractor_plain": "0" * 12, "num_samples_plain": 90}


def test_numbers_that_do_not_fit_are_refused(digits, refused):
    reference, chosen = reference_of(digits(), Plan(num_samples=100))
    assert "there are 100 samples" in refused(space_of, pixels(), 101, reference.real, chosen)
    assert "4 samples are too few" in refused(space_of, pixels(), 4, reference.real, chosen)
    for text in ("vgg16:", "vgg16:x", "vgg16:0"):
        assert f"--extractor {text}: give the number" in refused(Plan(extractors=(text,)).networks)
    assert Plan(extractors=("judge", "vgg16:25", "inception")).networks() == {"vgg16": 25, "inception": None}
    assert "type --extractor inception too" in refused(Plan(inception_weights="x.pth").networks)


def test_features_of_real_images_are_kept_by_network_and_content(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "folder", lambda name: tmp_path / name)
    calls = []
    for digest, seed in (("0" * 12, 0), ("0" * 12, 0), ("1" * 12, 0), ("0" * 12, 1)):
        space = Space(pixels(digest=digest, calls=calls), images(20, seed), None)
        np.testing.assert_array_equal(space.features, pixels().features(images(20, seed)))
    assert len(calls) == 3
    _ = Space(pixels("judge", calls=calls), images(20), None).features
    assert len(list((tmp_path / "features").iterdir())) == 3  # a judge is quick and is not kept


def test_few_samples_are_told_of(caplog):
    caplog.set_level("INFO", "experiment_jax")
    space = Space(pixels(), images(40), None)
    space.tell_if_few(40)
    assert not caplog.text
    space.tell_if_few(39)
    assert "39 samples for the 4 features of plain are few: distances are biased upwards" in caplog.text


def test_repeats_are_means_and_standard_errors_over_seeds_of_the_samples(copied):
    run = load_run(copied)
    found = evaluate(run, num_samples=90, repeats=3)
    reference, chosen = reference_of(run.config, Plan(num_samples=90))
    rows = []
    for seed in range(3):
        drawn = run.sample(chosen.labels, seed).images
        rows.append(reference.measure_samples(drawn, reference.features_of(drawn), chosen.labels))
    for key in ("fd_gen", "kid_gen", "precision", "accuracy_gen", "copied"):
        values = [row[key] for row in rows]
        assert found[key] == pytest.approx(np.mean(values))
        assert found[f"{key}{noise.ERROR}"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(3))
    assert found["repeats"] == 3 and "fd_recon_se" not in found and "num_samples_se" not in found
