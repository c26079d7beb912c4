"""Counts and seeds as people give them."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_jax import UserError, load_config, train
from experiment_jax.config import numbers

NO_NUMBERS = [None, True, np.True_, jnp.bool_(True), 1.0, np.float32(2), "3", b"3", [1], np.array([1, 2]), 1j, object()]


@pytest.mark.parametrize("value", [1, np.int8(1), np.uint64(1), jnp.int32(1), np.array(1)])
def test_whole_numbers_of_any_type_are_counts_and_seeds(value):
    assert type(numbers.count(value, "n")) is int and numbers.count(value, "n") == numbers.seed(value) == 1


@pytest.mark.parametrize("value", [*NO_NUMBERS, -1, -(10**30), 10**30, 2**32])
def test_everything_else_is_refused_by_its_name(value, refused):
    assert refused(numbers.count, value, "--num_samples").startswith("--num_samples=")
    assert refused(numbers.seed, value).startswith("seed=")


def test_a_count_is_one_or_more_and_a_seed_takes_32_bits(refused):
    assert refused(numbers.count, 0, "n") == "n=0: give a whole number from 1 to 10000000"
    assert numbers.seed(0) == 0 and numbers.seed(2**32 - 1) == 2**32 - 1


@given(st.one_of(st.none(), st.floats(), st.text(), st.integers(), st.lists(st.text(), max_size=20)))
def test_whatever_is_given_it_is_a_number_or_one_line(value):
    try:
        assert 0 <= numbers.seed(value) == value < 2**32
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 150


@pytest.mark.parametrize(
    ("key", "value", "most"),
    [
        ("data.validation", 2**31, 2**31 - 1),
        ("representation.widths", (4, 10**12), 2**31 - 1),
        ("representation.steps", 10**400, 2**31 - 1),
        ("matching.batch_size", 10**12, 10**7),
        ("seed", 2**32, 2**32 - 1),
    ],
)
def test_a_number_that_no_array_can_hold_is_no_setting(key, value, most, refused):
    message = refused(load_config, "lsdm_digits", {key: value})
    assert message.startswith(f"--config.{key}=") and message.endswith(f" to {most}")
    assert refused(load_config, "lsdm_digits", {key: str(value)}) == message


@pytest.mark.parametrize(("key", "value"), [("matching.score.guidance", "nan"), ("representation.ssim", float("nan"))])
def test_what_is_no_number_is_no_setting_also_where_nobody_reads_it(key, value, refused):
    assert refused(load_config, "lsdm_digits", {key: value}).startswith(f"--config.{key}=")


def test_a_message_is_one_line_whatever_was_typed(refused):
    message = refused(load_config, "lsdm_digits", {"matching.keep": "2\n\x00\x1b[31m\u2028"})
    assert message.startswith(r"--config.matching.keep=2\n\x00\x1b[31m\u2028: expected int")
    assert message.isprintable()


@pytest.mark.parametrize(
    ("key", "value", "most"), [("draws", 10**6 + 1, 10**6), ("depth", 101, 100), ("width", 10**9, 10**6)]
)
def test_a_size_beyond_what_can_be_compiled_is_refused_before_it_is_tried(
    key, value, most, tiny, one, refused, tmp_path
):
    message = refused(train, tiny(**{f"matching__{key}": value}), tmp_path / "run", one)
    assert message == f"matching.{key}={value}: give {most} or less" and not (tmp_path / "run").exists()


def test_values_of_numpy_and_jax_become_python_s_own():
    given = [np.float32(0.1), jnp.float32(0.1), np.float16(0.1), np.float64(0.1), np.array(0.1, np.float32)]
    assert [numbers.plain(value) for value in given] == [0.1] * 5
    assert numbers.plain(np.array([[1, 2], [3, 4]])) == ((1, 2), (3, 4))
    assert numbers.plain([np.str_("a"), np.True_, None]) == ["a", True, None]
    config = load_config("lsdm_digits", {"representation.widths": np.array([8, 16]), "data.paired": np.int16(100)})
    assert config.representation.widths == (8, 16) and type(config.data.paired) is int


def test_what_json_cannot_hold_is_no_setting(refused):
    for value in ("({1},)", (object(),), ((1, 2),)):
        assert "expected tuple" in refused(load_config, "lsdm_digits", {"evaluation.figures": value})
