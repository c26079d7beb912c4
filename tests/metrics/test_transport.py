import jax
import numpy as np
import pytest
import scipy.stats
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.special import gammaln

from experiment_jax.errors import UserError
from experiment_jax.metrics.transport import sinkhorn_divergence, w1_exact, w1_per_class, w1_sliced


@pytest.fixture(autouse=True)
def lenient_promotion():
    """ott promotes ranks inside, so a strict suite must not hold it to our rule."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def normal(count, features=4, seed=0):
    return np.random.default_rng(seed).normal(size=(count, features))


@pytest.mark.parametrize("seed", range(3))
def test_equal_counts_are_an_assignment(seed):
    x, y = normal(11, seed=seed), normal(11, seed=seed + 10) + 0.5
    cost = cdist(x, y)
    np.testing.assert_allclose(w1_exact(x, y), cost[linear_sum_assignment(cost)].mean(), rtol=1e-12)


def test_unequal_counts_on_a_line_have_a_closed_form():
    x, y = normal(11, 1), 2 * normal(13, 1, 1) + 0.3
    expected = scipy.stats.wasserstein_distance(x[:, 0], y[:, 0])
    np.testing.assert_allclose(w1_exact(x, y), expected, rtol=1e-12)
    np.testing.assert_allclose(w1_sliced(x, y, projections=5), expected, rtol=1e-12)


def test_unequal_counts_are_an_assignment_of_repeated_points():
    x, y = normal(4), normal(3, seed=1)
    cost = cdist(np.repeat(x, 3, axis=0), np.repeat(y, 4, axis=0))
    np.testing.assert_allclose(w1_exact(x, y), cost[linear_sum_assignment(cost)].mean(), rtol=1e-12)


def test_a_translation_costs_its_length():
    x, shift = normal(53), np.array([3.0, -4.0, 12.0, 84.0])
    np.testing.assert_allclose(w1_exact(x, x + shift), 85.0, rtol=1e-12)
    assert w1_exact(x, x) == 0.0


def test_w1_is_the_euclidean_and_not_the_squared_or_the_taxicab_cost():
    np.testing.assert_allclose(w1_exact(np.zeros((1, 2)), np.array([[3.0, 4.0]])), 5.0)


def test_a_simplex_cut_short_is_an_error():
    with pytest.raises(RuntimeError, match="exact W₁ of 53 and 47 points"):
        w1_exact(normal(53), normal(47, seed=1), max_iterations=1)


def test_classes_are_measured_one_by_one():
    x, y = normal(23), normal(29, seed=1)
    x_labels, y_labels = np.arange(23) % 3, np.arange(29) % 3
    shifts = np.array([0.0, 10.0, 300.0])
    found = w1_per_class(x, x_labels, y + shifts[y_labels, None], y_labels, 3)
    expected = [w1_exact(x[x_labels == c], y[y_labels == c] + shifts[c]) for c in range(3)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_swapped_classes_cost_nothing_jointly_and_much_conditionally():
    x = normal(22) + 100.0 * (np.arange(22) % 2)[:, None]
    assert w1_exact(x, x) == 0.0
    assert np.all(w1_per_class(x, np.arange(22) % 2, x, 1 - np.arange(22) % 2, 2) > 100.0)


def test_an_empty_class_and_missing_labels_are_refused():
    with pytest.raises(UserError, match=r"^y: .* but class 2 has 0; "):
        w1_per_class(normal(11), np.arange(11) % 3, normal(12), np.arange(12) % 2, 3)
    with pytest.raises(ValueError, match="x: 11 points but 10 labels"):
        w1_per_class(normal(11), np.arange(10) % 3, normal(12), np.arange(12) % 3, 3)


@pytest.mark.parametrize("features", [2, 12])
def test_sliced_distance_of_a_translation_is_a_mean_cosine(features):
    x, shift = normal(11, features), np.full(features, 2.0)
    mean_cosine = np.exp(gammaln(features / 2) - gammaln((features + 1) / 2)) / np.sqrt(np.pi)
    found = w1_sliced(x, x + shift, projections=20_000)
    np.testing.assert_allclose(found, np.linalg.norm(shift) * mean_cosine, rtol=0.02)


@pytest.mark.parametrize("counts", [(11, 11), (11, 13)])
def test_sliced_distance_is_a_mean_over_directions(counts):
    x, y = normal(counts[0]), 1.5 * normal(counts[1], seed=1) + 0.2
    directions = np.random.default_rng(7).normal(size=(4, 20_000))
    directions /= np.linalg.norm(directions, axis=0)
    expected = [scipy.stats.wasserstein_distance(x @ d, y @ d) for d in directions.T[:2000]]
    error = 4 * np.std(expected) * np.sqrt(1 / 2000 + 1 / 20_000)
    assert abs(w1_sliced(x, y, projections=20_000, seed=3) - np.mean(expected)) < error
    assert w1_sliced(x, y) <= w1_exact(x, y)


def test_sliced_distance_depends_on_the_seed_alone():
    x, y = normal(11), normal(13, seed=1)
    assert w1_sliced(x, y, seed=1) == w1_sliced(x, y, seed=1) != w1_sliced(x, y, seed=2)


def test_sinkhorn_tends_to_the_exact_distance_as_epsilon_falls():
    x, y = normal(11), normal(13, seed=1) + 0.5
    exact = w1_exact(x, y)
    errors = [abs(sinkhorn_divergence(x, y, epsilon=e) - exact) / exact for e in (1.0, 0.3, 0.1, 0.03, 0.01)]
    assert np.all(np.diff(errors) < 0)
    assert errors[-1] < 0.005


def test_sinkhorn_tends_to_half_the_energy_distance_as_epsilon_grows():
    x, y = normal(11), normal(13, seed=1) + 0.5
    expected = cdist(x, y).mean() - 0.5 * cdist(x, x).mean() - 0.5 * cdist(y, y).mean()
    np.testing.assert_allclose(sinkhorn_divergence(x, y, epsilon=300.0), expected, rtol=5e-3)


def test_sinkhorn_is_debiased_and_blind_to_a_common_offset():
    x, y = normal(11), normal(13, seed=1) + 0.5
    assert abs(sinkhorn_divergence(x, x, epsilon=1.0)) < 1e-5
    offset = sinkhorn_divergence(x + 1e5, y + 1e5, epsilon=1.0)
    np.testing.assert_allclose(offset, sinkhorn_divergence(x, y, epsilon=1.0), rtol=1e-5)


def test_sinkhorn_without_convergence_is_an_error():
    with pytest.raises(RuntimeError, match=r"ε = 0.001 did not converge in 10 iterations; raise ε"):
        sinkhorn_divergence(normal(11), normal(13, seed=1) + 0.5, epsilon=1e-3, max_iterations=10)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan")])
def test_epsilon_must_be_positive(epsilon):
    with pytest.raises(UserError, match=r"^epsilon = .*: must be positive"):
        sinkhorn_divergence(normal(11), normal(13), epsilon=epsilon)


@pytest.mark.parametrize("metric", [w1_exact, w1_sliced, lambda x, y: sinkhorn_divergence(x, y, epsilon=1.0)])
def test_clouds_that_cannot_be_measured_are_refused(metric):
    with pytest.raises(UserError, match=r"^x: 0 points"):
        metric(normal(0), normal(11))
    with pytest.raises(UserError, match=r"^y: 44 of 44 values"):
        metric(normal(11), normal(11) * np.nan)
    with pytest.raises(ValueError, match="shapes"):
        metric(normal(11), normal(11, 3))
