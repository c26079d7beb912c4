import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from experiment_jax.metrics import restoration


def test_psnr_is_that_of_scikit_image():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 256, (5, 11, 7, 3), dtype=np.uint8)
    images = generator.integers(0, 256, truth.shape, dtype=np.uint8)
    expected = [peak_signal_noise_ratio(a, b, data_range=255) for a, b in zip(truth, images, strict=True)]
    np.testing.assert_allclose(restoration.psnr(images, truth), expected, rtol=1e-10)


def test_identical_images_have_the_psnr_that_rounding_allows():
    truth = np.zeros((2, 3, 3, 1), np.uint8)
    np.testing.assert_allclose(restoration.psnr(truth, truth), 10 * np.log10(12 * 255**2))


@pytest.mark.parametrize("count", [2, 3, 8])
def test_draws_of_the_law_of_the_truth_are_calibrated_however_few(count):
    generator = np.random.default_rng(count)
    centre = generator.normal(size=(1, 4000, 5))
    draws = centre + generator.normal(size=(count, 4000, 5))
    truth = centre[0] + generator.normal(size=(4000, 5))
    assert abs(restoration.spread_skill(draws, truth) - 1.0) < 0.02


@pytest.mark.parametrize("shrunk", [0.0, 0.5, 2.0])
def test_draws_that_are_surer_than_they_may_be_are_below_one(shrunk):
    generator = np.random.default_rng(0)
    draws = shrunk * generator.normal(size=(8, 20_000))
    expected = np.sqrt(9 / 8 * shrunk**2 / (1 + shrunk**2 / 8))
    assert abs(restoration.spread_skill(draws, generator.normal(size=20_000)) - expected) < 0.03


def test_the_energy_score_is_least_for_the_law_of_the_truth():
    generator = np.random.default_rng(0)
    truth = generator.normal(size=(20_000, 2))
    draws = generator.normal(size=(4, 20_000, 2))
    scores = [
        restoration.energy_score(scale * draws + shift, truth) for scale, shift in ((1, 0), (0.5, 0), (2, 0), (1, 1))
    ]
    assert min(scores) == scores[0]


def test_the_energy_score_of_one_repeated_point_is_its_distance():
    draws = np.broadcast_to(np.asarray([3.0, 4.0]), (3, 5, 2))
    assert restoration.energy_score(draws, np.zeros((5, 2))) == pytest.approx(5.0)


def test_root_mean_square():
    assert restoration.root_mean_square(np.asarray([[3.0, 4.0]])) == pytest.approx(np.sqrt(12.5))
