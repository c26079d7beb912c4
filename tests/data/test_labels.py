"""Labels of any shape, numbering and type: the classes that they mean, or one line."""

import logging
from pathlib import PurePath

import numpy as np
import pytest

from experiment_jax.data.labels import as_classes, of_folders

NAMES = ("T-shirt/top", "Trouser", "Ankle boot", "Bag")
NUMBERS = tuple("0123456789")
CLASSES = np.array([3, 0, 1, 2, 2, 0, 3, 1, 1], np.int32)


def classes(labels, names=NAMES):
    found = as_classes(labels, len(CLASSES), names)
    assert found.dtype == np.int32 and found.shape == CLASSES.shape
    return found


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int64, np.uint64, np.float16, np.float64])
@pytest.mark.parametrize("shape", [(9,), (9, 1), (1, 9), (9, 1, 1)])
def test_whole_numbers_of_any_type_and_shape(kind, shape):
    np.testing.assert_array_equal(classes(CLASSES.astype(kind).reshape(shape)), CLASSES)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32])
def test_one_hot_rows_of_any_type(kind):
    np.testing.assert_array_equal(classes(np.eye(4, dtype=kind)[CLASSES]), CLASSES)


@pytest.mark.parametrize(
    "row", [(0, 0, 0, 0), (1, 1, 0, 0), (0.25, 0.25, 0.25, 0.25), (0, 2, 0, 0), (0, np.nan, 1, 0), (1, -1, 1, 0)]
)
def test_other_rows_are_refused_and_named(row, refused):
    labels = np.eye(4)[CLASSES]
    labels[5] = row
    error = refused(as_classes, labels, 9, NAMES)
    assert error.startswith("row 5 of the labels [9, 4] is not one 1 and else 0") and "labels.argmax(1)" in error


def test_numbering_from_1_is_taken_where_it_is_the_only_one_and_said(caplog):
    np.testing.assert_array_equal(classes(CLASSES + 1), CLASSES)
    np.testing.assert_array_equal(classes((CLASSES + 1).astype(str)), CLASSES)
    assert [record.message for record in caplog.records] == [
        "labels are up to 4: they are taken as numbered from 1"
    ] * 2
    np.testing.assert_array_equal(as_classes(np.array([4, 4]), 2, NAMES), [3, 3])


def test_numbering_that_cannot_be_told_is_from_0_and_said(caplog):
    labels = np.maximum(CLASSES, 1)
    np.testing.assert_array_equal(classes(labels), labels)
    assert "labels are from 1 to 3: they are taken as numbered from 0" in caplog.text


@pytest.mark.parametrize(
    "labels",
    [
        CLASSES.astype(str),
        CLASSES.astype(float).astype(str),
        CLASSES.astype("S"),
        np.array([f"0{label}" for label in CLASSES]),
        np.array(NAMES)[CLASSES],
        np.array([f" {NAMES[label]} " for label in CLASSES]),
        np.array(NAMES)[CLASSES].astype("S"),
        np.array(["t-shirt_top", "TROUSER", "ankleboot", "bag"])[CLASSES],
        np.array(NAMES)[CLASSES].reshape(9, 1),
    ],
)
def test_words_are_names_or_numbers(labels):
    np.testing.assert_array_equal(classes(labels), CLASSES)


def test_truth_values_are_the_classes_of_two(refused):
    np.testing.assert_array_equal(classes(CLASSES > 1, ("not Smiling", "Smiling")), CLASSES > 1)
    assert "labels are of type bool" in refused(as_classes, CLASSES > 1, 9, NAMES)


@pytest.mark.parametrize(
    ("labels", "unknown"),
    [(CLASSES.astype(float), np.nan), (CLASSES, -1), (np.array(NAMES)[CLASSES], ""), (CLASSES.astype(str), "-1")],
)
def test_unknown_labels_are_minus_one_in_every_type(labels, unknown):
    known = np.arange(9) % 3 != 1
    for first in (0, 1) if labels.dtype.kind in "if" else (0,):
        found = classes(np.where(known, labels + first if first else labels, unknown))
        np.testing.assert_array_equal(found, np.where(known, CLASSES, -1))
    np.testing.assert_array_equal(classes(np.full_like(labels, unknown)), np.full(9, -1))


@pytest.mark.parametrize("count", [8, 10])
def test_one_label_too_few_or_too_many_is_refused_with_both_counts(count, refused):
    for labels in (np.zeros(count, int), np.full(count, "Bag"), np.eye(4)[np.zeros(count, int)]):
        error = refused(as_classes, labels, 9, NAMES)
        assert error.startswith(f"labels are {list(labels.shape)} for 9 images; give one an image, [9]")


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (CLASSES + 2, "labels are from 2 to 5; the data set's are from 0 to 3, or from 1 to 4"),
        (np.append(CLASSES[1:], 4), "labels are from 0 to 4"),
        (CLASSES - 2, "labels are from -2 to 1"),
        (CLASSES.astype(np.uint64) - np.uint64(1), "labels are from 0 to 1.84467e+19"),
        (np.where(CLASSES == 3, np.inf, CLASSES), "labels are from 0 to inf"),
        (CLASSES + 0.5, "label 3.5 is no whole number"),
        (CLASSES.astype(complex), "of type complex128"),
        (CLASSES.astype("M8[s]"), "of type datetime64[s]"),
        (np.full(9, "cat"), "label cat is no class of the data set; it has T-shirt/top, Trouser, Ankle boot, Bag"),
        (np.where(CLASSES == 3, "3", "Bag"), "label 3 is no class"),
        (np.full(9, "9" * 400), "labels are from inf to inf"),
        (np.full(9, b"\xff"), "bytes that are no text"),
        (np.zeros((3, 3), int), "labels are [3, 3] for 9 images"),
        (np.eye(5)[CLASSES], "labels are [9, 5] for 9 images"),
        (np.eye(4)[CLASSES].T, "labels are [4, 9] for 9 images"),
        (np.int32(3), "labels are [] for 9 images"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels, reason, refused):
    assert reason in refused(as_classes, labels, 9, NAMES)


def test_names_that_classes_share_or_that_are_numbers_of_their_own_are_not_guessed_at(refused):
    birds = ("crane", "bag", "crane", "C.rane")
    assert "label crane is no class" in refused(as_classes, np.full(9, "crane"), 9, birds)
    np.testing.assert_array_equal(classes(np.full(9, "bag"), birds), np.ones(9))
    assert "label Bag is no class" in refused(as_classes, np.full(9, "Bag"), 9, birds)
    prices = ("5", "10", "20")
    np.testing.assert_array_equal(classes(np.full(9, "10"), prices), np.ones(9))
    assert "label 1 is no class" in refused(as_classes, np.full(9, "1"), 9, prices)


def files(*folders):
    return [PurePath(folder) / "deeper" / f"{number}.png" for number, folder in enumerate(folders)]


@pytest.mark.parametrize(
    ("folders", "names", "expected"),
    [
        (("Bag", "Trouser", "Bag"), NAMES, [3, 1, 3]),
        (("bag", "t-shirt-top", "ANKLE_BOOT"), NAMES, [3, 0, 2]),
        (("3", "1", "0"), NAMES, [3, 1, 0]),
        (("4", "1", "2"), NAMES, [3, 0, 1]),
        (("03", "10", "1"), NUMBERS, [2, 9, 0]),
        (("7",), NUMBERS, [7]),
    ],
)
def test_folders_of_classes_are_labels_and_it_is_said(folders, names, expected, caplog):
    caplog.set_level(logging.INFO)
    assert of_folders(files(*folders), names).tolist() == expected
    assert "labels are the names of the folders" in caplog.text


@pytest.mark.parametrize("folders", [("part1", "part2"), ("000000", "001000"), ("images",), ("17", "18")])
def test_other_folders_are_no_labels_and_it_is_said(folders, caplog):
    assert of_folders(files(*folders), NUMBERS) is None
    assert f"the folders {', '.join(folders)} are no classes of the data set" in caplog.text


def test_files_in_no_folder_have_no_labels(caplog):
    assert of_folders([PurePath("a.png"), PurePath("Bag.png")], NAMES) is None and not caplog.records


@pytest.mark.parametrize(
    ("found", "other"),
    [
        (files("Bag", "part1"), "the folder part1"),
        (files("1", "Bag", "12"), "the folder 12"),
        ([*files("Bag"), PurePath("a.png")], "a.png"),
    ],
)
def test_folders_of_classes_beside_others_are_refused(found, other, refused):
    error = refused(of_folders, found, NAMES)
    assert error.startswith(f"holds {other} beside ") and "which is a class of the data set; move one" in error
