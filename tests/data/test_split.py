"""Digits, and the semi-supervised split of a data set: validation, pairs, hidden labels, views."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from experiment_jax.config.sections import experiment
from experiment_jax.data import load
from experiment_jax.data.split import UNPAIRED, Split, divide, hide_labels, view


def settings(name="digits", **own):
    section = experiment("test", str(name), stages=()).data
    section.update(own)
    return section


def read(name, split, **own):
    return load.read(settings(name, **own), split)


def rows(split):
    """Each image with its label as bytes, sorted: the split as a set with repetition."""
    return sorted(image.tobytes() + bytes([label]) for image, label in zip(split.images, split.labels, strict=True))


def test_digits_are_split_once_and_for_all():
    train, test = read("digits", "train")[0], read("digits", "test")[0]
    assert (len(train), len(test)) == (1347, 450)
    np.testing.assert_array_equal(np.bincount(test.labels), [45] * 10)
    assert train.images.shape == (1347, 8, 8, 1) and train.images.dtype == np.uint8 and train.labels.dtype == np.int32
    whole = load_digits()
    pixels = np.rint(whole.images * 255 / 16).astype(np.uint8)[..., None]
    expected = Split(pixels, whole.target.astype(np.int32))
    # Together they are the whole set, each image once: nothing is in both.
    assert sorted(rows(train) + rows(test)) == rows(expected)
    # The split that quoted results rest on: it must never move.
    assert int(test.images.astype(np.int64).sum()) == 2237733


def test_validation_is_balanced_cut_from_train_and_never_in_it():
    train = read("digits", "train")[0]
    dataset = load.load(settings(validation=70), seed=3)
    np.testing.assert_array_equal(np.bincount(dataset.validation.labels), [7] * 10)
    assert sorted(rows(dataset.train) + rows(dataset.validation)) == rows(train)
    assert rows(dataset.validation) != rows(load.load(settings(validation=70), seed=4).validation)
    assert rows(dataset.validation) == rows(load.load(settings(validation=70), seed=3).validation)


def test_a_class_without_images_is_no_obstacle_unless_it_must_give_some(refused):
    whole, names = read("digits", "train")
    without = whole.take(np.flatnonzero(whole.labels != 4))
    assert len(divide(without, names, settings(), 0).train) == len(without)
    assert "type --config.data.validation=0" in refused(divide, without, names, settings(validation=20), 0)
    message = refused(divide, without, names, settings(paired=100), 0)
    assert message.endswith("class 4 has no image to give; type --config.data.paired=None")


def test_paired_images_are_balanced_and_the_other_labels_are_gone():
    dataset = load.load(settings(paired=110, validation=70), seed=0)
    labels = dataset.train.labels
    assert len(labels) == 1347 - 70
    np.testing.assert_array_equal(np.bincount(labels[labels != UNPAIRED]), [11] * 10)
    assert set(labels[labels == UNPAIRED]) == {-1} and (labels == UNPAIRED).sum() == 1347 - 70 - 110
    paired, everything = view(dataset, "paired"), view(dataset, "all")
    assert len(paired) == 110 and everything.labels is None
    np.testing.assert_array_equal(everything.images, dataset.train.images)
    # The labels that are left are the true ones.
    assert set(rows(paired)) <= set(rows(read("digits", "train")[0]))


def test_the_images_of_the_split_do_not_depend_on_how_many_are_paired():
    few, all_ = (load.load(settings(paired=paired, validation=70), seed=0) for paired in (100, None))
    np.testing.assert_array_equal(few.train.images, all_.train.images)
    assert rows(few.validation) == rows(all_.validation)


def test_unpaired_images_are_kept_by_number_and_more_of_them_hold_fewer():
    none, few, more, every = (load.load(settings(paired=100, unpaired=n, validation=70), 0) for n in (0, 37, 210, None))
    assert [len(each.train) for each in (none, few, more)] == [100, 137, 310]
    for each in (none, few, more):
        assert rows(view(each, "paired")) == rows(view(every, "paired"))
        labels = view(each, "mixed").labels
        assert (labels != UNPAIRED).sum() == 100 and len(labels) == len(view(each, "all"))
    inside = [{image.tobytes() for image in each.train.images} for each in (none, few, more, every)]
    assert inside[0] < inside[1] < inside[2] < inside[3]
    whole = load.load(settings(paired=100, unpaired=1347 - 170, validation=70), 0)
    np.testing.assert_array_equal(whole.train.images, every.train.images)


def test_more_unpaired_images_than_there_are_are_refused_with_how_many_there_are(refused):
    assert "--config.data.unpaired=1177 or less" in refused(
        load.load, settings(paired=100, unpaired=1178, validation=70), 0
    )
    assert "--config.data.unpaired=1247 or less" in refused(load.load, settings(paired=100, unpaired=-1), 0)
    assert "give data.paired too" in refused(load.load, settings(unpaired=10), 0)


def test_hidden_labels_are_minus_one_and_the_given_ones_stay():
    np.testing.assert_array_equal(hide_labels(np.array([4, 2, 7, 2]), np.array([1, 2])), [-1, 2, 7, -1])


def test_reading_does_not_hand_out_what_a_caller_may_spoil():
    before = load.load(settings(), seed=0).train.labels.copy()
    load.load(settings(), seed=0).train.labels[:] = 9
    np.testing.assert_array_equal(load.load(settings(), seed=0).train.labels, before)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("paired", 105), ("paired", 0), ("paired", -10), ("paired", 5000), ("validation", 7), ("validation", 1340)],
)
def test_splits_that_cannot_be_are_refused_with_one_that_can(setting, value, refused):
    message = refused(load.load, settings(**{setting: value}), 0)
    assert f"data.{setting}={value}" in message
    suggested = int(message.rpartition(f"--config.data.{setting}=")[2])
    dataset = load.load(settings(**{setting: suggested}), 0)
    assert np.bincount(view(dataset, "paired").labels, minlength=10).min() > 0


def test_validation_leaves_no_class_without_training_images(refused):
    # The smallest class has 129 training images.
    assert load.load(settings(validation=1280), 0)
    assert "type --config.data.validation=1280" in refused(load.load, settings(validation=1290), 0)


def test_paired_counts_what_validation_left(refused):
    assert "type --config.data.paired=1220" in refused(load.load, settings(validation=70, paired=1230), 0)


def test_an_unknown_view_names_the_known(refused):
    assert "choose all" in refused(view, load.load(settings(), 0), "labels")
