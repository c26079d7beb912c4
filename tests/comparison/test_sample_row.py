"""Rows of images: the same classes in every row, the same keys whatever a run's seed."""

import numpy as np

from experiment_jax import load_run
from experiment_jax.comparison import sample_row
from experiment_jax.data.split import Split
from experiment_jax.drawing import pictures


def test_runs_of_two_seeds_are_drawn_from_the_same_keys(evaluated, copied, reseeded):
    reseeded(copied, 7)
    other = load_run(copied)  # the same parameters
    np.testing.assert_array_equal(sample_row.of_run(other), sample_row.of_run(evaluated[0]))
    assert other.config.seed == 7
    labels = np.arange(10, dtype=np.int32)
    assert not np.array_equal(other.sample(labels).images, evaluated[0].sample(labels).images)


def test_samples_in_files_stand_under_their_classes():
    images = np.arange(7, dtype=np.uint8)[:, None, None, None] * np.ones((1, 32, 32, 1), np.uint8)
    row = sample_row.of_images(Split(images, np.array([2, 0, 2, 2, 0, 3, 2], np.int32)), 4)
    white = np.full((32, 32, 1), 255, np.uint8)
    expected = np.stack([images[1], images[4], white, white, images[0], images[2], images[5], white])
    np.testing.assert_array_equal(row, pictures.grid(expected[None]))


def test_samples_without_all_labels_are_the_first_twenty():
    images = np.random.default_rng(0).integers(0, 256, (23, 32, 32, 3), np.uint8)
    labels = np.zeros(23, np.int32)
    labels[11] = -1
    np.testing.assert_array_equal(sample_row.of_images(Split(images, labels), 10), pictures.grid(images[None, :20]))
