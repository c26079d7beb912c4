"""The self-supervised features: rotations, shapes, and a distance."""

import jax
import numpy as np
import pytest

from experiment_jax.config.sections import stage as section
from experiment_jax.method.stage import Context, Model
from experiment_jax.networks import self_supervised
from experiment_jax.networks.losses import feature_distance

STEPS = 30


def context(shape):
    return Context("perceptual", shape, 10, np.full(10, 0.1, np.float32), np.full(10, 100), STEPS, Model())


def config(widths=(4, 8)):
    own = dict(widths=widths, compute=None, optimiser=dict(learning_rate=1e-2))
    return section("experiment_jax.networks.self_supervised:stage", view="all", batch_size=6, steps=4, **own)


def test_each_image_is_turned_by_its_own_number_of_quarters():
    images = np.random.default_rng(0).normal(size=(7, 6, 6, 3)).astype(np.float32)
    turns = np.array([0, 1, 2, 3, 3, 1, 0])
    expected = np.stack([np.rot90(image, count) for image, count in zip(images, turns, strict=True)])
    found = jax.jit(self_supervised.turned)(images, turns)
    np.testing.assert_array_equal(found, expected)


def test_the_distance_is_the_mean_over_levels_of_mean_absolute_differences():
    generator = np.random.default_rng(1)
    first = [generator.normal(size=(3, 4, 4, 5)), generator.normal(size=(3, 2, 2, 7))]
    second = [generator.normal(size=level.shape) for level in first]
    expected = np.mean([np.abs(a - b).mean() for a, b in zip(first, second, strict=True)])
    found = feature_distance(first, second)
    assert float(found) == pytest.approx(expected, rel=1e-6)
    assert float(feature_distance(first, first)) == 0.0


def test_features_halve_the_sides_at_every_level_and_training_lowers_the_loss():
    stage = self_supervised.stage(config(), context((12, 12, 1)))
    # Images that are brighter at the top: which way they were turned can be seen.
    ramp = np.linspace(1, -1, 12, dtype=np.float32)[:, None, None]
    batch = {"images": (ramp + 0.1 * np.random.default_rng(2).normal(size=(6, 12, 12, 1))).astype(np.float32)}
    state = jax.jit(lambda key: stage.init(key, batch, {}))(jax.random.key(0))
    update = jax.jit(lambda state, key: stage.update(state, batch, key, {}))
    losses = []
    for step in range(STEPS):
        state, metrics = update(state, jax.random.key(step))
        losses.append(float(metrics["loss"]))
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    frozen = stage.finish(state, None, {})
    features = jax.jit(stage.provides["features"])({"perceptual": frozen}, batch["images"])
    assert [level.shape for level in features] == [(6, 6, 6, 4), (6, 3, 3, 8)]


@pytest.mark.parametrize("shape", [(12, 16, 1), (10, 10, 3)])
def test_images_that_cannot_be_turned_or_halved_are_refused(shape, refused):
    assert "set representation.perceptual=0" in refused(self_supervised.stage, config(), context(shape))
