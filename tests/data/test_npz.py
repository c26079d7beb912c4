"""An .npz as a data set: images of any layout, labels that are numbers or words, -1 for none; or one line."""

import numpy as np
import pytest

from experiment_jax.config.sections import experiment
from experiment_jax.data import load
from experiment_jax.data.source import classes_of


def read(name, split="train", **own):
    section = experiment("test", str(name), stages=()).data
    section.update(own)
    return load.read(section, split)


IMAGES = np.random.default_rng(0).integers(0, 256, (23, 6, 5, 3), np.uint8)
LABELS = np.arange(23) % 3


@pytest.fixture
def saved(tmp_path):
    """`saved(images=…, labels=…)` -> the path of an .npz."""

    def save(**arrays):
        np.savez(tmp_path / "set.npz", **arrays)
        return tmp_path / "set.npz"

    return save


@pytest.mark.parametrize(
    ("images", "shown"),
    [
        (IMAGES, IMAGES),
        (np.moveaxis(IMAGES, -1, 1), IMAGES),
        (IMAGES[..., 0], IMAGES[..., :1]),
        (IMAGES.astype(np.float64), IMAGES),
        (np.concatenate([IMAGES, np.full((23, 6, 5, 1), 255, np.uint8)], axis=-1), IMAGES),
    ],
)
def test_images_of_any_layout_are_read(images, shown, saved):
    found, names = read(saved(images=images, labels=LABELS))
    np.testing.assert_array_equal(found.images, shown)
    np.testing.assert_array_equal(found.labels, LABELS)
    assert names == ("0", "1", "2") and found.labels.dtype == np.int32


@pytest.mark.parametrize(
    ("labels", "expected", "names"),
    [
        ([3, 10, -1, 3], [0, 1, -1, 0], ("3", "10")),
        ([1.0, np.nan, 2.0, 2.0], [0, -1, 1, 1], ("1", "2")),
        (["b", "", "a ", "b"], [1, -1, 0, 1], ("a", "b")),
        ([True, False, True, True], [1, 0, 1, 1], ("0", "1")),
    ],
)
def test_each_label_that_occurs_is_a_class(labels, expected, names, saved):
    found, classes = read(saved(arr_0=IMAGES[:4], arr_1=np.array(labels)))
    assert classes == names and found.labels.tolist() == expected
    assert classes_of(labels, names)[0].tolist() == expected


def test_a_share_is_test_and_other_names_can_be_given(saved):
    path = saved(x=IMAGES, kind=LABELS, other=LABELS)
    parts = [read(path, split, image="x", label="kind", test=0.4)[0] for split in ("train", "test")]
    assert min(map(len, parts)) > 1 and sum(map(len, parts)) == 23
    both = np.concatenate([part.images for part in parts])
    np.testing.assert_array_equal(np.sort(both.reshape(23, -1), axis=0), np.sort(IMAGES.reshape(23, -1), axis=0))


@pytest.mark.parametrize(
    ("arrays", "own", "reason"),
    [
        (dict(images=IMAGES), {}, "holds no array of labels; type --config.data.label=NAME"),
        (dict(images=IMAGES, labels=LABELS), dict(label="kind"), "holds images, labels and not kind"),
        (dict(x=IMAGES, labels=LABELS), {}, "holds x, labels; name its arrays images and labels"),
        (dict(images=IMAGES / 255, labels=LABELS), {}, "type np.rint(images * 255).astype(np.uint8)"),
        (dict(images=IMAGES, labels=LABELS[:9]), {}, "labels are [9] for 23 images; give one an image"),
        (dict(images=IMAGES[:, 0], labels=LABELS[:9]), {}, "labels are [9] for 23 images"),
        (dict(images=IMAGES.reshape(23, 90), labels=LABELS), {}, "images are [23, 90]; save them as [N, height"),
        (
            dict(images=np.moveaxis(IMAGES[:, :, :4], -1, 1), labels=LABELS),
            {},
            "images are [23, 3, 6, 4]; save them as",
        ),
        (dict(images=IMAGES, labels=np.full(23, -1)), {}, "no image has a label; leave some that have"),
        (dict(images=IMAGES, labels=LABELS + 0.5), {}, "label 0.5 is neither a whole number nor a word"),
        (dict(images=IMAGES, labels=np.array([{}] * 23)), {}, "holds Python objects, which are not read"),
        (dict(images=IMAGES[:1], labels=LABELS[:1]), {}, "has 1 image in train; give 2 or more"),
    ],
)
def test_what_is_no_data_set_is_one_line(arrays, own, reason, saved, refused):
    path = saved(**arrays)
    message = refused(read, path, **own)
    assert message.startswith(f"data.name={path}: ") and reason in message


def test_a_damaged_file_is_one_line(saved, refused):
    path = saved(images=IMAGES, labels=LABELS)
    path.write_bytes(path.read_bytes()[:500])
    assert f"data.name={path}: is no .npz, or the beginning of one" in refused(read, path)


def test_a_label_that_train_does_not_have_is_refused():
    with pytest.raises(ValueError, match="label c is no class of train, which has a, b"):
        classes_of(["a", "c"], ("a", "b"))
