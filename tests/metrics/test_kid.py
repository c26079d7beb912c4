import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from experiment_jax.errors import UserError
from experiment_jax.metrics.kid import kernel_distance


def normal(count, features=4, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1.0, size=(count, features))


def unbiased_mmd2(x, y):
    """The U-statistic, summed pair by pair; the counts may differ."""

    def kernel(a, b):
        return polynomial_kernel(a[None], b[None], degree=3, gamma=1 / len(a), coef0=1)[0, 0]

    n, m = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    across = sum(kernel(x[i], y[j]) for i in range(n) for j in range(m)) / (n * m)
    return within_x + within_y - 2 * across


def test_one_subset_of_everything_is_the_estimator():
    x, y = normal(11), normal(11, seed=1, shift=0.5)
    mean, deviation = kernel_distance(x, y, subsets=3)
    np.testing.assert_allclose(mean, unbiased_mmd2(x, y), rtol=1e-12)
    assert deviation < 1e-12


def test_subsets_average_to_the_estimator_on_everything():
    x, y = normal(11), normal(13, seed=1, shift=0.5)
    mean, deviation = kernel_distance(x, y, subsets=3000, subset_size=7)
    assert abs(mean - unbiased_mmd2(x, y)) < 4 * deviation / np.sqrt(3000)


def test_subset_shrinks_to_the_smaller_set():
    x, y = normal(12), normal(11, seed=1)
    assert kernel_distance(x, y, subset_size=1000) == kernel_distance(x, y, subset_size=11)


def test_equal_laws_are_at_zero_on_average_and_a_shift_is_not():
    values = [kernel_distance(normal(50, seed=s), normal(50, seed=s + 500), subsets=1)[0] for s in range(200)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(200)
    assert min(values) < 0  # unbiased, so it must go below zero
    shifted = [kernel_distance(normal(500), normal(500, seed=1, shift=s), subsets=1)[0] for s in (0.0, 0.3, 0.6, 1.2)]
    assert np.all(np.diff(shifted) > 0)


def test_the_seed_decides():
    x, y = normal(23), normal(29, seed=1)
    first = kernel_distance(x, y, subset_size=7, seed=3)
    assert first == kernel_distance(x, y, subset_size=7, seed=3)
    assert first != kernel_distance(x, y, subset_size=7, seed=4)


def test_what_has_no_distance_is_refused():
    with pytest.raises(UserError, match=r"^generated: 1 points, at least 2"):
        kernel_distance(normal(11), normal(1))
    with pytest.raises(UserError, match=r"^real: 44 of 44"):
        kernel_distance(normal(11) * np.nan, normal(11))
    with pytest.raises(ValueError, match="shapes"):
        kernel_distance(normal(11), normal(11, features=3))
    with pytest.raises(ValueError, match="subset_size"):
        kernel_distance(normal(11), normal(11), subset_size=1)
