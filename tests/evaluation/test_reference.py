"""What a judge says: directions, floors, and independence of how the images are batched."""

import dataclasses

import numpy as np
import pytest

from experiment_jax import load_config
from experiment_jax.data import passes
from experiment_jax.evaluation.evaluate import reference_of
from experiment_jax.evaluation.plan import Plan
from experiment_jax.evaluation.real_images import real_images
from experiment_jax.evaluation.reference import Reference
from experiment_jax.metrics import neighbours


def measure(reference, images, labels):
    return reference.measure_samples(images, reference.features_of(images), labels)


def test_precision_and_recall_are_of_equally_many_points_on_both_sides(digits, reference):
    real, chosen = real_images(digits(), "test", 900)
    assert len(chosen) == 900 and len(real.test) == 450
    real = dataclasses.replace(real, test=real.test.take(np.arange(0, 450, 3)))
    reference = Reference(reference.judge, real)
    images = real.test.take(np.resize(np.arange(150), 300)).images  # each twice: every other one is all of them
    twice = measure(reference, images, None)
    order = np.linspace(0, 299, 150).astype(int)
    once = measure(reference, images[order], None)
    assert (twice["precision"], twice["recall"]) == (once["precision"], once["recall"])
    features = reference.features_of(real.test.images)
    assert (twice["precision"], twice["recall"]) == neighbours.precision_recall(features, features[order % 150])
    assert twice["num_samples"] == 300


def test_real_images_reach_their_own_floor(reference):
    other = reference.real.other
    found = reference.measure_real() | measure(reference, other.images, other.labels)
    assert found["fd_gen"] == found["fd_floor"]
    assert found["protocol"] == "test_450"
    assert found["nearest_train_ratio"] == 0.0  # they are training images
    assert found["copied"] == 1.0
    assert found["fidelity"] == 1.0


def test_the_test_images_themselves_are_at_distance_zero(reference):
    test = reference.real.test
    found = reference.measure_real() | measure(reference, test.images, test.labels)
    assert found["fd_gen"] < 1e-3
    assert found["accuracy_gen"] == found["accuracy_real"]
    assert (found["precision"], found["recall"]) == (1.0, 1.0)
    recon, moments = reference.measure_reconstructions(test.images)
    assert recon["fd_recon"] < 1e-3
    against = reference.space.measure_against(moments, reference.features_of(test.images))
    assert against["fd_gen_vs_recon"] < 1e-3


def test_noise_moves_every_distance_up_and_one_class_alone_loses_recall(reference):
    generator, real = np.random.default_rng(0), reference.real
    some, distances = real.test.images[::3].astype(int), []
    for strength in (0, 40, 80, 160):
        images = np.clip(some + generator.integers(-strength, strength + 1, some.shape), 0, 255).astype(np.uint8)
        distances.append(measure(reference, images, None)["fd_gen"])
    assert distances == sorted(distances)
    zeros = real.train.images[real.train.labels == 0]
    found = measure(reference, zeros, np.zeros(len(zeros), np.int32))
    assert found["precision"] > 2 * found["recall"]


def test_unknown_labels_leave_the_accuracy_out(reference):
    assert "accuracy_gen" not in measure(reference, reference.real.other.images[:100], None)


def test_too_few_samples_for_the_features_are_refused_with_the_number_that_suffices(reference, refused):
    images = reference.real.other.images
    message = refused(measure, reference, images[:64], None)
    assert message.startswith("64 samples are too few") and "take 65 or more (--num_samples)" in message
    assert measure(reference, images[:65], None)["num_samples"] == 65


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((20, 9, 8, 1), np.uint8), "images are (9, 8, 1), the data set's are (8, 8, 1)"),
        (np.zeros((3, 8, 8, 1), np.uint8), "3 points, at least 4"),
        (np.zeros((20, 8, 8, 1), np.uint8), "all 20 points are the same"),
    ],
)
def test_images_that_cannot_be_measured_are_refused(reference, images, message, refused):
    assert message in refused(measure, reference, images, None)


def test_how_samples_are_ordered_and_batched_does_not_show(reference, monkeypatch):
    other = reference.real.other.take(np.arange(0, 450, 4))
    whole = measure(reference, other.images, other.labels)
    monkeypatch.setattr(passes, "PASS", 37)
    again = dataclasses.replace(reference, judge=dataclasses.replace(reference.judge))  # with programs of its own
    order = np.random.default_rng(0).permutation(len(other))
    parts = measure(again, other.images[order], other.labels[order])
    for key in whole:
        expected = pytest.approx(whole[key], rel=1e-4, abs=1e-5) if isinstance(whole[key], float) else whole[key]
        assert parts[key] == expected, key


def test_a_judge_of_another_data_set_is_refused(digits, refused):
    message = refused(reference_of, digits(data__name="fashion_mnist"), Plan())
    assert "judges digits, not fashion_mnist" in message


def test_who_trained_on_a_network_is_not_judged_by_it(refused):
    config = load_config("configs/regene_digits.py", {"perceptual.kind": "vgg16"})
    message = refused(reference_of, config, Plan(extractors=("judge", "vgg16")))
    assert message == "--extractor vgg16: the run was trained with it, so it does not judge it; name another"
