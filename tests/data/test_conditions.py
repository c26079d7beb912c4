"""Conditions as people give them: what they mean, or one line."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_jax import UserError
from experiment_jax.data.conditions import labels, low_resolution

LOW = (3, 2, 1)


@pytest.mark.parametrize(
    "values",
    [
        [0, 3, 9],
        (0, 3, 9),
        range(0, 10, 9),
        np.array([0, 9], np.uint64),
        np.array([0, 3], np.int8),
        jnp.array([0, 9]),
        [0.0, 9.0],
    ],
)
def test_whole_numbers_of_any_type_are_labels(values):
    found = labels(values, 10)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, list(values))


NO_LABELS = [
    None, [], [[1, 2]], 3, [1, None], [[1], [1, 2]], [True, False], ["3", "4"], [2.5], [np.nan], [np.inf], [-1], [10],
    [3, 10**30], [1j], {"a": 1}, {1, 2}, object(), np.zeros((2, 10)), np.array(["2026"], "M8[Y]"), b"12", "12",
]  # fmt: skip


@pytest.mark.parametrize("values", NO_LABELS)
def test_what_is_no_label_is_refused(values, refused):
    assert refused(labels, values, 10).startswith("condition: ")


def test_an_unknown_label_is_one_only_where_it_may_be(refused):
    np.testing.assert_array_equal(labels([-1, 9], 10, unknown=True), [-1, 9])
    assert "labels: labels are from -1 to 9, not -2…-2" in refused(labels, [-2], 10, "labels", unknown=True)


def test_low_resolution_images_are_bytes_or_floats(refused):
    generator = np.random.default_rng(0)
    of_bytes = generator.integers(0, 256, (5, *LOW), np.uint8)
    assert low_resolution(of_bytes, LOW) is of_bytes
    floats = generator.normal(size=(5, *LOW))
    for kind in (np.float64, np.float32, np.float16, jnp.bfloat16):
        found = low_resolution(floats.astype(kind), LOW)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, floats.astype(kind).astype(np.float32))
    for values in (
        None, [], [3], of_bytes[0], of_bytes[:0], of_bytes[..., 0], of_bytes.astype(int), of_bytes.astype(float),
        of_bytes > 7, floats * np.nan, np.where(floats > 1, np.inf, floats), of_bytes.astype(str), [[1], [2, 3]],
    ):  # fmt: skip
        assert refused(low_resolution, values, LOW).startswith("condition: ")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=6,
)


@given(ANYTHING)
def test_whatever_is_given_it_is_labels_or_one_line(values):
    try:
        found = labels(values, 4)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert found.dtype == np.int32 and found.ndim == 1 and len(found) == len(values)
        assert all(number == value and 0 <= number < 4 for number, value in zip(found, values, strict=True))
        assert not any(isinstance(value, bool) for value in values)
    try:
        low_resolution(values, LOW)
    except UserError as error:
        assert "\n" not in str(error)
