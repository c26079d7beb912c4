"""The adversary: its loss against closed forms, and what a score depends on."""

import jax
import numpy as np
import pytest

from experiment_jax.networks.adversary import Adversary, relativistic

GAPS = np.array([-2.0, 0.0, 0.5, 3.0, 40.0], np.float32)


def test_the_loss_is_its_closed_form():
    assert float(relativistic(GAPS)) == pytest.approx(np.mean(np.log1p(np.exp(-GAPS.astype(np.float64)))), rel=1e-6)


def test_at_no_gap_its_gradient_is_half_the_duals_and_it_vanishes_where_a_pair_is_told_apart():
    slopes = -len(GAPS) * jax.grad(relativistic)(GAPS)  # the gradient of the dual, -mean gap, is -1/n
    assert float(slopes[1]) == 0.5 and float(slopes[4]) < 1e-15 and np.all(np.diff(slopes) < 0)


def test_a_score_is_of_one_image_and_of_all_its_places():
    images = np.random.default_rng(0).normal(size=(5, 12, 8, 3)).astype(np.float32)
    network = Adversary((4, 6))
    variables = jax.jit(network.init)(jax.random.key(0), images)
    score = jax.jit(lambda images: network.apply(variables, images))
    scores = score(images)
    assert scores.shape == (5,)
    np.testing.assert_allclose(score(images[1:2])[0], scores[1], rtol=1e-5)
    reached = jax.jit(jax.grad(lambda x: score(x)[0]))(images)
    assert np.all(np.any(reached[0] != 0, axis=-1)) and not np.any(reached[1:])
