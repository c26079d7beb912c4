import numpy as np
import pytest
import scipy.linalg

from experiment_jax.errors import UserError
from experiment_jax.metrics.frechet import Moments, frechet_distance, moments


def correlated(count, features, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, features)) @ rng.normal(size=(features, features)) + rng.normal(size=features)


def test_moments_are_those_of_numpy():
    x = correlated(11, 4, 0)
    measured = moments([x])
    assert measured.count == 11
    np.testing.assert_allclose(measured.mean, x.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(measured.covariance, np.cov(x, rowvar=False), rtol=1e-12)


@pytest.mark.parametrize("batch", [1, 2, 7, 128, 1009])
def test_moments_do_not_depend_on_the_batch_size(batch):
    # float32 features with a mean far above their deviation: where Σx² − n μ² would lose every digit.
    x = (correlated(1009, 12, 1) + 3000.0).astype(np.float32)
    measured = moments(x[start : start + batch] for start in range(0, len(x), batch))
    reference = moments([x])
    np.testing.assert_allclose(measured.mean, reference.mean, rtol=1e-10)
    scale = np.abs(reference.covariance).max()
    np.testing.assert_allclose(measured.covariance, reference.covariance, rtol=0, atol=1e-10 * scale)
    np.testing.assert_allclose(reference.covariance, np.cov(x.astype(np.float64), rowvar=False), rtol=1e-9)


def test_empty_batches_are_skipped():
    x = correlated(11, 4, 2)
    parts = [x[:0], x[:5], x[:0], x[5:]]
    np.testing.assert_allclose(moments(parts).covariance, moments([x]).covariance, rtol=1e-12)


def test_distance_is_the_textbook_formula():
    a, b = moments([correlated(101, 12, 3)]), moments([correlated(97, 12, 4)])
    root = scipy.linalg.sqrtm(a.covariance @ b.covariance)
    expected = np.sum((a.mean - b.mean) ** 2) + np.trace(a.covariance + b.covariance - 2.0 * root).real
    np.testing.assert_allclose(frechet_distance(a, b), expected, rtol=1e-9)
    np.testing.assert_allclose(frechet_distance(b, a), expected, rtol=1e-9)


def test_diagonal_gaussians_have_a_closed_form():
    rng = np.random.default_rng(5)
    mean_a, mean_b, std_a, std_b = rng.uniform(0.1, 3.0, size=(4, 11))
    std_a[0] = std_b[1] = 0.0  # a degenerate direction on either side
    a, b = Moments(1000, mean_a, np.diag(std_a**2)), Moments(1000, mean_b, np.diag(std_b**2))
    expected = np.sum((mean_a - mean_b) ** 2) + np.sum((std_a - std_b) ** 2)
    np.testing.assert_allclose(frechet_distance(a, b), expected, rtol=1e-12)


@pytest.mark.parametrize(("count", "features"), [(211, 12), (11, 64)])
def test_a_set_is_at_no_distance_from_itself(count, features):
    a = moments([correlated(count, features, 6)])
    assert 0.0 <= frechet_distance(a, a) < 1e-9


def test_rank_deficient_covariances_agree_with_their_subspace():
    # Points of a 4-dimensional subspace of 64 dimensions: a rotation must not change the distance.
    rotation = np.linalg.qr(np.random.default_rng(7).normal(size=(64, 64)))[0][:, :4]
    x, y = correlated(101, 4, 8), correlated(97, 4, 9)
    expected = frechet_distance(moments([x]), moments([y]))
    np.testing.assert_allclose(frechet_distance(moments([x @ rotation.T]), moments([y @ rotation.T])), expected)


def test_null_directions_add_no_rounding_against_a_full_rank():
    rotation = np.linalg.qr(np.random.default_rng(14).normal(size=(300, 300)))[0][:, :3]
    deviations = np.array([2.0, 5.0, 11.0])
    a = Moments(4, np.zeros(300), (rotation * deviations**2) @ rotation.T)
    expected = np.sum((deviations - 1.0) ** 2) + 297
    np.testing.assert_allclose(frechet_distance(a, Moments(999, np.zeros(300), np.eye(300))), expected, rtol=1e-11)


def test_point_masses_are_at_their_squared_distance():
    zero = np.zeros((4, 4))
    assert frechet_distance(Moments(11, np.zeros(4), zero), Moments(12, np.full(4, 3.0), zero)) == 36.0


def test_noise_raises_the_distance_monotonically():
    rng = np.random.default_rng(10)
    real, noise = correlated(500, 12, 11), rng.normal(size=(500, 12))
    reference = moments([real])
    distances = [frechet_distance(reference, moments([real + s * noise])) for s in (0.0, 0.5, 1.0, 2.0, 4.0)]
    assert np.all(np.diff(distances) > 0)


def test_what_has_no_moments_is_refused():
    x = correlated(11, 4, 13)
    with pytest.raises(UserError, match="1 points, at least 2"):
        moments([x[:1]])
    with pytest.raises(UserError, match="0 points"):
        moments([])
    with pytest.raises(UserError, match="1 of 44 values"):
        moments([np.where(x == x[5, 2], np.nan, x)])
    with pytest.raises(ValueError, match="same features"):
        moments([x, x[:, :3]])
    with pytest.raises(ValueError, match="4 and 3"):
        frechet_distance(moments([x]), moments([x[:, :3]]))
