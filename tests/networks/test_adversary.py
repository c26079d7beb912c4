"""The adversary: its losses against closed forms, its field of view, and the slope of the one that takes W₁'s dual."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax.networks.adversary import Adversary, dual, relativistic

GAPS = np.array([-2.0, 0.0, 0.5, 3.0, 40.0], np.float32)


def test_losses_are_their_closed_forms():
    assert float(dual(GAPS)) == pytest.approx(-np.mean(GAPS))
    assert float(relativistic(GAPS)) == pytest.approx(np.mean(np.log1p(np.exp(-GAPS.astype(np.float64)))), rel=1e-6)


def test_at_no_gap_the_relativistic_gradient_is_half_the_duals_and_vanishes_where_a_pair_is_told_apart():
    slopes = jax.grad(relativistic)(GAPS) / jax.grad(dual)(GAPS)
    assert float(slopes[1]) == 0.5 and float(slopes[4]) < 1e-15
    assert np.all(np.diff(slopes) < 0)


@pytest.mark.parametrize("spectral", [False, True])
def test_a_score_is_of_one_image_and_of_all_its_places(spectral):
    images = np.random.default_rng(0).normal(size=(5, 12, 8, 3)).astype(np.float32)
    network = Adversary((4, 6), spectral)
    variables = network.init(jax.random.key(0), images)
    scores = network.apply(variables, images)
    assert scores.shape == (5,)
    np.testing.assert_allclose(network.apply(variables, images[1:2])[0], scores[1], rtol=1e-5)
    reached = jax.grad(lambda x: network.apply(variables, x)[0])(images)
    assert np.all(np.any(reached[0] != 0, axis=-1)) and not np.any(reached[1:])


def test_the_layers_of_the_dual_have_spectral_norm_one():
    """Whatever the size of the parameters: the score does not change when they all are multiplied."""
    images = np.random.default_rng(1).normal(size=(3, 8, 8, 1)).astype(np.float32)
    network = Adversary((4,), spectral=True)
    variables = network.init(jax.random.key(0), images)
    kernels = jax.tree.map(lambda leaf: 7.0 * leaf if leaf.ndim == 4 else leaf, variables["params"])

    def settled(params):
        statistics = variables["batch_stats"]
        for _ in range(30):
            _, moved = network.apply({"params": params, "batch_stats": statistics}, images, mutable=["batch_stats"])
            statistics = moved["batch_stats"]
        return network.apply({"params": params, "batch_stats": statistics}, images)

    np.testing.assert_allclose(settled(kernels), settled(variables["params"]), rtol=1e-4)
    assert jnp.abs(network.apply({**variables, "params": kernels}, images)).max() > 0  # not trivially equal
