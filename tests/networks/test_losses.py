"""The reconstruction loss and structural similarity, against scikit-image and the paper's equation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import correlate
from skimage.metrics import structural_similarity

from experiment_jax.networks.losses import Weights, reconstruction
from experiment_jax.networks.ssim import ssim as eager_ssim

ssim = jax.jit(eager_ssim)


def noisy_pair(shape, count=3):
    """Images in [-1, 1] that are smooth in places, and the same with noise."""
    rng = np.random.default_rng(0)
    rows, columns = np.meshgrid(np.linspace(0, 3, shape[0]), np.linspace(0, 5, shape[1]), indexing="ij")
    waves = np.sin(rows[..., None] * columns[..., None] + np.arange(shape[2])) * 0.7
    first = np.clip(waves + 0.1 * rng.normal(size=(count, *shape)), -1, 1)
    return first.astype(np.float32), np.clip(first + 0.3 * rng.normal(size=first.shape), -1, 1).astype(np.float32)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (12, 20, 1)])
def test_ssim_is_that_of_scikit_image(shape):
    first, second = noisy_pair(shape)
    options = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=2.0, channel_axis=-1)
    expected = [structural_similarity(a, b, **options) for a, b in zip(first, second, strict=True)]
    assert np.ptp(expected) > 1e-4 and 0.1 < np.mean(expected) < 0.95
    np.testing.assert_allclose(ssim(first, second), expected, atol=1e-4)


def test_small_images_are_compared_in_a_small_window():
    """Wang et al. 2004, equation 13, with weights w over 7×7 and σ = 0.8, averaged where the window fits."""
    first, second = (each.astype(np.float64)[..., 0] for each in noisy_pair((8, 8, 1)))
    weights = np.exp(-((np.arange(7) - 3.0) ** 2) / (2 * 0.8**2))
    weights = np.outer(weights, weights) / weights.sum() ** 2
    mean = lambda image: correlate(image, weights)[3:-3, 3:-3]  # noqa: E731
    stability, expected = ((0.01 * 2) ** 2, (0.03 * 2) ** 2), []
    for x, y in zip(first, second, strict=True):
        mx, my = mean(x), mean(y)
        vx, vy, vxy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
        luminance = (2 * mx * my + stability[0]) / (mx**2 + my**2 + stability[0])
        expected.append(np.mean(luminance * (2 * vxy + stability[1]) / (vx + vy + stability[1])))
    found = ssim(*(each[..., None].astype(np.float32) for each in (first, second)))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_an_image_is_wholly_similar_to_itself():
    first, _ = noisy_pair((8, 8, 1))
    np.testing.assert_allclose(ssim(first, first), 1.0, atol=1e-5)


def test_the_loss_is_the_weighted_sum_of_its_terms():
    images, decoded = (jnp.asarray(each) for each in noisy_pair((16, 16, 3)))
    value, terms = reconstruction(Weights(2.0, 0.5, 0.0), images, decoded)
    np.testing.assert_allclose(terms["l1"], np.abs(images - decoded).mean(), rtol=1e-5)
    np.testing.assert_allclose(value, 2.0 * terms["l1"] + 0.5 * (1 - terms["ssim"]), rtol=1e-5)
    same, _ = reconstruction(Weights(1.0, 0.5, 0.0), images, images)
    np.testing.assert_allclose(same, 0.0, atol=1e-5)


def test_the_perceptual_term_is_added_with_its_weight():
    images, decoded = (jax.random.uniform(jax.random.key(seed), (3, 8, 8, 1)) for seed in (0, 1))
    features = lambda x: [2.0 * x, x[:, ::2]]  # noqa: E731
    value, terms = reconstruction(Weights(1.0, 0.0, 0.7), images, decoded, features)
    difference = np.abs(np.asarray(images - decoded))
    expected = (2.0 * difference.mean() + difference[:, ::2].mean()) / 2
    np.testing.assert_allclose(terms["perceptual"], expected, rtol=1e-6)
    np.testing.assert_allclose(value, difference.mean() + 0.7 * expected, rtol=1e-6)
