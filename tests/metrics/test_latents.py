import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiment_jax.errors import UserError
from experiment_jax.metrics.latents import hoyer, near_zero, spread

SAMPLE_LABELS, REAL_LABELS = np.arange(23) % 3, np.arange(29) % 3


def normal(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 4))


def test_spread_is_the_ratio_of_root_traces():
    samples, real = 2 * normal(23), normal(29, 1)

    def reference(points, labels):
        return np.mean([np.sqrt(np.trace(np.cov(points[labels == c], rowvar=False))) for c in range(3)])

    expected = reference(samples, SAMPLE_LABELS) / reference(real, REAL_LABELS)
    np.testing.assert_allclose(spread(samples, SAMPLE_LABELS, real, REAL_LABELS, 3), expected, rtol=1e-12)


def test_a_mean_of_root_traces_is_not_a_root_of_the_mean_trace():
    # Classes of deviations 1 and 7 against 5 and 5: equal mean variance, mean deviation 4 against 5.
    line = np.array([[-1.0], [1.0]]) / np.sqrt(2)  # unbiased variance 1
    labels = np.array([0, 0, 1, 1])
    found = spread(np.concatenate([line, 7 * line]), labels, np.concatenate([5 * line, 5 * line]), labels, 2)
    np.testing.assert_allclose(found, 4 / 5, rtol=1e-12)


@settings(deadline=None, max_examples=50)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100), seed=st.integers(0, 99))
def test_scaling_samples_scales_the_spread_and_moving_classes_does_not(scale, shift, seed):
    samples, real = normal(23, seed), normal(29, 100)
    before = spread(samples, SAMPLE_LABELS, real, REAL_LABELS, 3)
    after = spread(scale * (samples + shift * SAMPLE_LABELS[:, None]), SAMPLE_LABELS, real, REAL_LABELS, 3)
    np.testing.assert_allclose(after, scale * before, rtol=1e-9)


def test_an_average_of_two_independent_latents_has_one_over_root_two():
    labels = np.arange(30_000) % 3
    real, first, second = (normal(30_000, seed) for seed in range(3))
    np.testing.assert_allclose(spread((first + second) / 2, labels, real, labels, 3), 1 / np.sqrt(2), rtol=0.01)


def test_a_collapsed_sampler_is_measured_at_zero():
    assert spread(np.ones((23, 4)), SAMPLE_LABELS, normal(29), REAL_LABELS, 3) == 0.0


def test_what_has_no_spread_is_refused():
    with pytest.raises(UserError, match=r"^real: each class is one point repeated; "):
        spread(normal(23), SAMPLE_LABELS, np.eye(4)[REAL_LABELS], REAL_LABELS, 3)
    with pytest.raises(UserError, match=r"^samples: at least 2 points a class are needed, but class 3 has 0; "):
        spread(normal(23), SAMPLE_LABELS, normal(29), np.arange(29) % 4, 4)
    with pytest.raises(UserError, match=r"^samples: 92 of 92 values"):
        spread(normal(23) * np.nan, SAMPLE_LABELS, normal(29), REAL_LABELS, 3)
    with pytest.raises(ValueError, match="real: 29 points but 23 labels"):
        spread(normal(23), SAMPLE_LABELS, normal(29), SAMPLE_LABELS, 3)


def test_one_coordinate_that_is_not_zero_is_wholly_sparse_and_equal_magnitudes_are_not_sparse():
    one_hot = np.eye(11)[np.arange(23) % 11] * np.arange(1, 24)[:, None]
    signs = np.where(normal(23)[:, [0]] > 0, 3.0, -3.0) * np.ones(11)
    np.testing.assert_allclose(hoyer(one_hot), 1.0, rtol=1e-12)
    np.testing.assert_allclose(near_zero(one_hot), 10 / 11, rtol=1e-12)
    np.testing.assert_allclose(hoyer(signs), 0.0, atol=1e-12)
    assert near_zero(signs) == 0.0
    np.testing.assert_allclose(hoyer(np.concatenate([one_hot, signs])), 0.5, rtol=1e-12)


@settings(deadline=None, max_examples=50)
@given(zeros=st.integers(0, 10), scale=st.floats(1e-3, 1e3))
def test_k_equal_coordinates_of_d_have_their_closed_form_at_any_scale(zeros, scale):
    size, filled = 11, 11 - zeros
    latents = np.tile(np.r_[np.zeros(zeros), np.full(filled, scale)], (5, 1))
    expected = (np.sqrt(size) - np.sqrt(filled)) / (np.sqrt(size) - 1)
    np.testing.assert_allclose(hoyer(latents), expected, atol=1e-12)
    np.testing.assert_allclose(near_zero(latents), zeros / size, rtol=1e-12)


def test_the_tolerance_is_in_units_of_the_root_mean_square():
    latents = np.tile([3.0, 4.0, 0.1, 0.02], (7, 1))  # RMS 2.5
    assert [near_zero(latents, tolerance) for tolerance in (0.007, 0.01, 0.05)] == [0.0, 0.25, 0.5]


def test_normal_coordinates_have_the_sparsity_that_the_text_says():
    latents = np.random.default_rng(0).normal(size=(200, 1000))
    np.testing.assert_allclose(hoyer(latents), 1 - np.sqrt(2 / np.pi), atol=0.01)
    np.testing.assert_allclose(near_zero(latents), 0.008, atol=0.001)


def test_rows_of_zeros_are_left_out_and_zeros_alone_are_refused():
    np.testing.assert_allclose(hoyer(np.concatenate([np.zeros((9, 4)), np.eye(4)])), 1.0, rtol=1e-12)
    for measure in (hoyer, near_zero):
        with pytest.raises(UserError, match=r"^latents: all are 0; "):
            measure(np.zeros((9, 4)))
    with pytest.raises(ValueError, match="one coordinate"):
        hoyer(np.ones((9, 1)))
