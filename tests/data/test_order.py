"""The order of batches: permutations by seed, class and epoch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiment_jax.data import order


def batch(step, size=23, batch_size=5, labels=None, classes=None, seed=0):
    return order.Order(labels, size, batch_size, classes, seed).indices(step)


@settings(deadline=None)
@given(size=st.integers(1, 60), batch_size=st.integers(1, 90), seed=st.integers(0, 2**31), epochs=st.integers(1, 3))
def test_an_epoch_visits_every_example_once(size, batch_size, seed, epochs):
    steps = -(-epochs * size // batch_size)
    line = np.concatenate([batch(step, size, batch_size, seed=seed) for step in range(steps)])
    for epoch in range(epochs):
        assert sorted(line[epoch * size : (epoch + 1) * size]) == list(range(size))


def test_the_order_depends_on_seed_and_step_alone():
    forwards = [batch(step) for step in range(9)]
    for other in range(2, 600):  # whatever was kept of the first
        batch(0, seed=other)
    backwards = [batch(step) for step in reversed(range(9))]
    np.testing.assert_array_equal(forwards, backwards[::-1])
    assert not np.array_equal(forwards, [batch(step, seed=1) for step in range(9)])
    assert forwards[0].dtype == np.int32


def test_epochs_are_in_different_orders():
    first, second = (np.concatenate([batch(step, 20) for step in range(at, at + 4)]) for at in (0, 4))
    assert sorted(first) == sorted(second) and not np.array_equal(first, second)


@settings(deadline=None)
@given(counts=st.lists(st.integers(1, 9), min_size=2, max_size=4), each=st.integers(1, 12), seed=st.integers(0, 99))
def test_stratified_batches_are_sorted_and_balanced_and_visit_each_class_evenly(counts, each, seed):
    # Some classes are smaller than their share of a batch: they are gone through more than once in it.
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    steps = [batch(step, len(labels), each * len(counts), labels, len(counts), seed) for step in range(7)]
    for rows in steps:
        np.testing.assert_array_equal(labels[rows], np.repeat(np.arange(len(counts)), each))
    for label, count in enumerate(counts):
        line = np.concatenate([rows[labels[rows] == label] for rows in steps])
        for start in range(0, len(line) - count + 1, count):
            assert sorted(line[start : start + count]) == sorted(np.flatnonzero(labels == label))


@pytest.mark.parametrize("classes", [None, 2])
def test_neighbouring_seeds_and_classes_do_not_share_an_order(classes):
    labels = np.repeat([0, 1], 50)
    rows = batch(0, 100, 100, labels, classes)
    assert not np.array_equal(rows, batch(0, 100, 100, labels, classes, seed=1))
    if classes:
        assert not np.array_equal(rows[:50], rows[50:] - 50)


def test_lines_are_permutations_by_seed_class_and_epoch():
    labels = np.array([1, 0, 1, 1, 0])

    def line(number, members, epochs):
        permutations = [np.random.default_rng([7, number, epoch]).permutation(len(members)) for epoch in range(epochs)]
        return np.concatenate([members[each] for each in permutations])

    plain, zeros, ones = line(0, np.arange(5), 4), line(1, np.array([1, 4]), 8), line(2, np.array([0, 2, 3]), 6)
    for step in range(4):
        np.testing.assert_array_equal(batch(step, 5, 4, seed=7), plain[4 * step : 4 * step + 4])
        each = slice(3 * step, 3 * step + 3)
        np.testing.assert_array_equal(batch(step, 5, 6, labels, 2, seed=7), np.concatenate([zeros[each], ones[each]]))
