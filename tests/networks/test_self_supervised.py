"""The self-supervised features: the images that they can be of, and a distance."""

import numpy as np
import pytest

from experiment_jax.config.sections import stage as section
from experiment_jax.method.stage import Context, Model
from experiment_jax.networks import self_supervised
from experiment_jax.networks.losses import feature_distance


def context(shape):
    return Context("perceptual", shape, 10, np.full(10, 0.1, np.float32), np.full(10, 100), 4, Model())


def config(widths=(4, 8)):
    own = dict(widths=widths, compute=None, optimiser=dict(learning_rate=1e-2))
    return section("experiment_jax.networks.self_supervised:stage", view="all", batch_size=6, steps=4, **own)


def test_the_distance_is_the_mean_over_levels_of_mean_absolute_differences():
    generator = np.random.default_rng(1)
    first = [generator.normal(size=(3, 4, 4, 5)), generator.normal(size=(3, 2, 2, 7))]
    second = [generator.normal(size=level.shape) for level in first]
    expected = np.mean([np.abs(a - b).mean() for a, b in zip(first, second, strict=True)])
    found = feature_distance(first, second)
    assert float(found) == pytest.approx(expected, rel=1e-6)
    assert float(feature_distance(first, first)) == 0.0


@pytest.mark.parametrize("shape", [(12, 14, 1), (10, 10, 3)])
def test_images_that_cannot_be_halved_are_refused(shape, refused):
    assert "set representation.perceptual=0" in refused(self_supervised.stage, config(), context(shape))
