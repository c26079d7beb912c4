"""Images as networks trained on ImageNet expect them."""

import numpy as np

from experiment_jax.networks.pretrained import inputs


def test_the_scaling_is_that_of_images_in_0_to_1_by_mean_and_deviation():
    images = np.random.default_rng(0).uniform(-1, 1, (2, 3, 5, 3)).astype(np.float32)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(inputs.scaled(images), ((images + 1) / 2 - mean) / deviation, rtol=1e-4, atol=1e-6)


def test_grey_is_repeated_before_the_scaling():
    grey = np.random.default_rng(0).uniform(-1, 1, (2, 3, 5, 1)).astype(np.float32)
    np.testing.assert_array_equal(inputs.scaled(grey), inputs.scaled(np.repeat(grey, 3, axis=-1)))


def test_resizing_is_bilinear_between_centres():
    """Rows at 0.5 and 1.5; twice as many are at 0.25, 0.75, 1.25 and 1.75. Half as many are means."""
    image = np.float32([[0, 4], [8, 20]])[None, :, :, None]
    larger = inputs.resized(image, 4)[0, :, :, 0]
    np.testing.assert_allclose(larger[0], [0, 1, 3, 4], atol=1e-6)
    np.testing.assert_allclose(larger[:, 3], [4, 8, 16, 20], atol=1e-6)
    ramp = np.broadcast_to(np.arange(8, dtype=np.float32)[:, None], (1, 8, 8))[..., None]
    np.testing.assert_allclose(np.diff(inputs.resized(ramp, 4)[0, :, 0, 0])[1], 2.0, rtol=1e-6)
