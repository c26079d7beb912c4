"""What validation measures of reconstructions, against a closed form."""

import numpy as np
import pytest

from experiment_jax.method.stage import Model
from experiment_jax.training.validation import texture_distance


def test_a_brighter_reconstruction_is_as_far_as_its_features_moved_on_a_mean_over_levels():
    """Of features that are the pixels, and some of twice the value: a law that moves by c is c² away."""
    model = Model(features=lambda params, images: [images, params * images[:, ::2, ::2]])
    images = np.random.default_rng(0).integers(0, 200, (7, 6, 4, 1), np.uint8)
    distance = texture_distance(model)
    assert distance(2.0, images, images) == pytest.approx(0.0, abs=1e-9)
    moved = 51 / 127.5  # uint8 to [-1, 1]
    assert distance(2.0, images, images + 51) == pytest.approx((moved**2 + (2 * moved) ** 2) / 2, rel=1e-5)


def test_texture_is_compared_wherever_it_is():
    model = Model(features=lambda params, images: [images])
    images = np.random.default_rng(1).integers(0, 256, (5, 6, 6, 3), np.uint8)
    distance = texture_distance(model)
    assert distance({}, images, images[:, ::-1, ::-1]) == pytest.approx(0.0, abs=1e-6)
    flat = np.broadcast_to(images.mean(axis=(1, 2), keepdims=True), images.shape).astype(np.uint8)
    assert distance({}, images, flat) > 0.1  # the mean is the same: it is the blur that is seen
