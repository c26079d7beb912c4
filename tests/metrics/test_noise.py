"""Means and standard errors over repeated measurements, and when two values cannot be told apart."""

import math

import numpy as np
import pytest

from experiment_jax.metrics import noise
from experiment_jax.metrics.noise import tied


def test_values_tie_below_twice_the_standard_error_of_their_difference():
    error = math.hypot(0.03, 0.04)  # 0.05
    assert tied(1.0, 1.0 + 1.99 * error, 0.03, 0.04) and tied(1.0 + 1.99 * error, 1.0, 0.04, 0.03)
    assert not tied(1.0, 1.0 + 2.01 * error, 0.03, 0.04)
    assert tied(1.0, 1.0) and not tied(1.0, np.nextafter(1.0, 2.0))  # without noise equal values alone


def test_an_unknown_error_never_makes_a_tie_that_a_known_one_would_take_back():
    generator = np.random.default_rng(0)
    for one, two, first, second in generator.uniform(size=(200, 4)):
        assert not tied(one, two, first) or tied(one, two, first, second)


def test_the_rule_is_of_twice_the_deviation_of_a_difference():
    """Of pairs that differ by noise alone 4.6% are told apart: P(|N(0, 1)| > 2)."""
    one, two = np.random.default_rng(1).normal(0.0, [[0.3], [0.4]], (2, 4000))
    apart = np.mean([not tied(a, b, 0.3, 0.4) for a, b in zip(one, two, strict=True)])
    assert apart == pytest.approx(math.erfc(math.sqrt(2)), abs=4 * math.sqrt(0.0455 * 0.9545 / 4000))


def test_means_and_standard_errors_of_rows():
    rows = [dict(a=1.0, n=5, text="x", list=[1.0, None]), dict(a=3.0, n=5, text="y", list=[2.0, None])]
    found = noise.with_errors(rows)
    assert found == dict(a=2.0, a_se=1.0, n=5, text="x", list=[1.5, None])
    assert noise.errors(rows[:1]) == {} and noise.with_errors(rows[:1]) == rows[0]
