"""Whether samples differ, in pixels."""

import numpy as np
import pytest

from experiment_jax.metrics.variety import COLLAPSED, pixel_spread


def test_it_is_the_ratio_of_deviations_over_all_pixels():
    generator = np.random.default_rng(0)
    real = generator.normal(size=(4000, 3, 2, 1))
    samples = 0.3 * generator.normal(size=(4000, 3, 2, 1)) + 7.0  # where they lie does not count
    assert pixel_spread(samples, real) == pytest.approx(0.3, rel=0.02)
    assert pixel_spread(real, real) == 1.0


def test_pixels_that_never_differ_count_with_a_variance_of_zero():
    real = np.zeros((2, 2), np.uint8)
    real[1] = 10, 0
    samples = np.array([[0, 0], [10, 10]], np.uint8)
    assert pixel_spread(samples, real) == pytest.approx(np.sqrt(2.0))


def test_one_image_again_and_again_is_a_collapse():
    real = np.random.default_rng(0).integers(0, 256, (11, 4, 4, 1), np.uint8)
    assert pixel_spread(np.repeat(real[:1], 5, axis=0), real) == 0.0 < COLLAPSED
