import numpy as np
import pytest

from experiment_jax.errors import UserError
from experiment_jax.metrics.checks import check_classes, check_labelled, check_points


def points(count=11, features=4, seed=0):
    return np.random.default_rng(seed).normal(size=(count, features))


def test_sound_points_come_back_unchanged():
    x = points()
    assert check_points(x, "real", 11) is x
    assert isinstance(check_points(x.tolist(), "real"), np.ndarray)


def test_values_that_are_not_finite_are_counted():
    x = points()
    x[3, 1], x[7, 0], x[7, 2] = np.nan, np.inf, -np.inf
    with pytest.raises(UserError, match=r"^generated: 3 of 44 values are NaN or infinite; "):
        check_points(x, "generated")


def test_too_few_points_are_counted():
    with pytest.raises(UserError, match=r"^real: 3 points, at least 4 are needed; "):
        check_points(points(3), "real", 4)


def test_one_point_repeated_is_refused_unless_the_metric_can_take_it():
    constant = np.tile(points(1), (11, 1))
    with pytest.raises(UserError, match=r"^real: all 11 points are the same; "):
        check_points(constant, "real")
    check_points(constant, "real", allow_constant=True)


def test_equal_features_within_a_point_are_not_a_constant_set():
    check_points(np.tile(points(features=1), (1, 4)), "real")


def test_a_message_is_one_line():
    for bad in (np.full((11, 4), np.nan), np.zeros((11, 4)), np.zeros((0, 4))):
        with pytest.raises(UserError) as caught:
            check_points(bad, "real")
        assert "\n" not in str(caught.value)


def test_points_without_a_feature_axis_are_a_programming_error():
    with pytest.raises(ValueError, match="shape"):
        check_points(np.zeros(11), "real")


def test_empty_and_poor_classes_are_named():
    with pytest.raises(UserError, match=r"^real: at least 1 points a class are needed, but class 1 has 0; "):
        check_classes(np.array([0, 2, 2]), "real", 3)
    with pytest.raises(UserError, match="but class 0 has 1, class 3 has 0; "):
        check_classes(np.array([0, 1, 1, 2, 2]), "real", 4, 2)


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_outside_the_classes_are_counted(label):
    with pytest.raises(UserError, match=r"^real: 2 labels lie outside 0…2; "):
        check_classes(np.array([0, 1, 2, label, label]), "real", 3)


@pytest.mark.parametrize("labels", [np.zeros(11), np.zeros((11, 1), int)])
def test_labels_are_one_axis_of_integers(labels):
    with pytest.raises(ValueError, match="integers"):
        check_classes(labels, "real", 1)


def test_every_point_has_one_label():
    with pytest.raises(ValueError, match="11 points but 12 labels"):
        check_labelled(points(), np.zeros(12, int), "real")
