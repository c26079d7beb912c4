"""Sets joined as classes, cropped and resized as they are read."""

import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from experiment_jax import load_config
from experiment_jax.config.sections import experiment
from experiment_jax.data import load
from experiment_jax.data.fit import fit
from experiment_jax.data.split import UNPAIRED, view
from experiment_jax.extractors import judges

DATA = Path(__file__).parent
TINY = DATA / "tiny_digits" / "1.0.0"
JOINED = f"digits+{TINY}"
write = runpy.run_path(str(DATA / "write_tiny_digits.py"))["write"]


def settings(name, **own):
    section = experiment("test", name, stages=()).data
    section.update(own)
    return section


def read(name, split="train", **own):
    return load.read(settings(name, **own), split)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sets that differ: `faces`, 13 colour images of 12×11 without labels or a test split; `mixed` and `twin`, of two
    sizes; and `copied`, the tiny set under another name."""
    root = tmp_path_factory.mktemp("sets")
    generator = np.random.default_rng(0)
    faces = [generator.integers(0, 256, (12, 11, 3), np.uint8) for _ in range(13)]
    write(root / "faces" / "1.0.0", {"train": [(face, None) for face in faces]})
    sizes = [(9, 7), (9, 7), (6, 8)]
    mixed = {"train": [(generator.integers(0, 256, size, np.uint8), None) for size in sizes]}
    write(root / "mixed" / "1.0.0", mixed)
    write(root / "twin" / "1.0.0", mixed)
    shutil.copytree(TINY, root / "copied" / "1.0.0")
    return root


def pixels(split):
    return sorted(image.tobytes() for image in split.images)


def test_each_joined_set_is_one_class_called_as_the_set():
    for split, counts in (("train", [1347, 60]), ("test", [450, 20])):
        whole, names = read(JOINED, split)
        assert names == ("digits", "tiny_digits")
        np.testing.assert_array_equal(np.bincount(whole.labels), counts)
        for label, each in enumerate(("digits", str(TINY))):
            alone = read(each, split)[0]
            np.testing.assert_array_equal(whole.images[whole.labels == label], alone.images)


def test_the_pairs_are_as_many_of_every_set_and_the_other_labels_are_hidden():
    dataset = load.load(settings(JOINED, paired=22, validation=14), 0)
    np.testing.assert_array_equal(np.bincount(view(dataset, "paired").labels), [11, 11])
    np.testing.assert_array_equal(np.bincount(dataset.validation.labels), [7, 7])
    assert (dataset.train.labels == UNPAIRED).sum() == len(dataset.train) - 22
    assert view(dataset, "all").labels is None


def test_the_view_of_a_set_holds_all_of_its_training_images_and_no_label(refused):
    whole = load.load(settings(JOINED, validation=14), 0)
    few = load.load(settings(JOINED, paired=4, validation=14), 0)
    for label, name in enumerate(("digits", "tiny_digits")):
        seen = view(few, name)
        assert seen.labels is None
        # What is hidden from every label is still there: the images of the true class.
        np.testing.assert_array_equal(seen.images, whole.train.images[whole.train.labels == label])
    held_out = pixels(few.validation)
    assert sorted(pixels(view(few, "digits")) + pixels(view(few, "tiny_digits")) + held_out) == pixels(read(JOINED)[0])
    assert "all (images without labels)" in refused(view, few, "digit")
    assert "digits, tiny_digits (that set's images" in refused(view, few, "digit")


def test_a_set_alone_has_no_view_of_its_own(refused):
    message = refused(view, load.load(settings("digits"), 0), "digits")
    assert message.endswith("validation (held out)")  # and no set after it


def test_the_labels_of_a_joined_set_are_ignored_and_need_not_be_there(folder, refused):
    whole, names = read(f"{folder / 'copied' / '1.0.0'}+digits")
    assert names == ("copied", "digits") and set(whole.labels[:60]) == {0}
    assert "has no feature label for a class; type --config.data.label=FEATURE: it has image" in refused(
        read, str(folder / "faces" / "1.0.0")
    )


def test_a_label_that_a_set_does_not_have_is_refused_where_there_is_nothing_to_choose(refused):
    assert "digits have one feature that is a class, label" in refused(read, "digits", label="attributes/Smiling")
    assert "each joined set is a class" in refused(read, JOINED, label="attributes/Smiling")
    assert len(read("digits", label="label")[0]) == 1347


def test_a_side_that_no_image_has_is_refused(refused):
    for side in (0, 8193, 2**31 - 1):
        assert "data.size" in refused(read, "digits", size=side) and "data.crop" in refused(read, "digits", crop=side)


@pytest.mark.parametrize("crop", [7, 6, 3])
def test_a_crop_is_the_central_square(crop):
    top = (8 - crop) // 2
    for split in ("train", "test"):
        cropped, whole = read("digits", split, crop=crop)[0], read("digits", split)[0]
        np.testing.assert_array_equal(cropped.images, whole.images[:, top : top + crop, top : top + crop])
        np.testing.assert_array_equal(cropped.labels, whole.labels)


@given(height=st.integers(1, 40), width=st.integers(1, 40), crop=st.integers(1, 40))
def test_a_crop_leaves_as_much_on_one_side_as_on_the_other(height, width, crop):
    crop = min(crop, height, width)
    image = np.arange(height * width, dtype=np.uint16).reshape(height, width, 1)
    kept = fit(image, crop, None)
    assert kept.shape == (crop, crop, 1)
    first, last = int(kept[0, 0, 0]), int(kept[-1, -1, 0])
    above, left = divmod(first, width)
    below, right = height - 1 - last // width, width - 1 - last % width
    assert 0 <= below - above <= 1 and 0 <= right - left <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_a_size_is_pillows_bicubic_after_the_crop(channels):
    image = np.random.default_rng(1).integers(0, 256, (12, 11, channels), np.uint8)
    plane = Image.fromarray(image[1:10, 1:10].squeeze())
    expected = np.asarray(plane.resize((4, 4), Image.Resampling.BICUBIC)).reshape(4, 4, channels)
    np.testing.assert_array_equal(fit(image, 9, 4), expected)


def test_a_reduction_does_not_alias():
    stripes = np.zeros((32, 32, 1), np.uint8)
    stripes[:, ::2] = 200  # every other column: picking every fourth would see one colour only
    inside = fit(stripes, None, 8)[:, 2:-2].astype(int)
    assert np.abs(inside - 100).max() <= 2
    flat = np.full((13, 11, 3), 77, np.uint8)
    np.testing.assert_array_equal(fit(flat, None, 5), np.full((5, 5, 3), 77))


@pytest.mark.parametrize("name", [str(TINY), "digits"])  # the second is more than one chunk, the last of them not full
def test_every_image_of_every_split_is_resized(name):
    for split in ("train", "test"):
        small, whole = read(name, split, crop=7, size=5)[0], read(name, split)[0]
        expected = np.stack([fit(image, 7, 5) for image in whole.images])
        np.testing.assert_array_equal(small.images, expected)
        np.testing.assert_array_equal(small.labels, whole.labels)


def test_sets_of_different_sizes_are_joined_at_one(folder, refused):
    faces, mixed = (str(folder / name / "1.0.0") for name in ("faces", "mixed"))
    other = folder / "other" / "1.0.0"
    colours = np.random.default_rng(2).integers(0, 256, (5, 14, 15, 3), np.uint8)
    write(other, {"train": [(image, None) for image in colours]})
    joined = f"{faces}+{other}"
    message = refused(read, joined)
    assert "faces 12x11x3, other 14x15x3" in message and message.endswith("type --config.data.size=11")
    whole, names = read(joined, size=11)
    assert whole.images.shape == (18, 11, 11, 3) and names == ("faces", "other")
    np.testing.assert_array_equal(whole.labels, [0] * 13 + [1] * 5)
    np.testing.assert_array_equal(whole.images[13:], [fit(image, None, 11) for image in colours])
    assert read(joined, crop=10)[0].images.shape == (18, 10, 10, 3)
    message = refused(read, f"{faces}+digits", size=8)
    assert "faces 8x8x3, digits 8x8x1" in message and "channels" in message
    # Of two sizes within one set, only the second of which comes after the first image of every set was looked at.
    assert "it has 9x7x1 and 6x8x1; type --config.data.size=6" in refused(
        read, f"{mixed}+{mixed.replace('mixed', 'twin')}"
    )


@pytest.mark.parametrize(
    ("name", "own", "reason"),
    [
        ("digits", dict(crop=9), "has images of 8x8x1, which are smaller; type --config.data.crop=8"),
        (JOINED, dict(crop=40), "type --config.data.crop=8"),
        ("digits", dict(crop=0), "type --config.data.crop=None"),
        ("digits", dict(size=-4), "type --config.data.size=None"),
        ("digits+digits", {}, "join different ones"),
        (f"{TINY}+{TINY}", {}, "join different ones"),
        ("digits+", {}, "join different ones"),
        ("digits+/no/such/folder", {}, "data.name=/no/such/folder"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(name, own, reason, refused):
    assert reason in refused(read, name, **own)


def test_a_member_without_test_images_says_what_to_compare_with(folder, refused):
    message = refused(read, f"{folder / 'faces' / '1.0.0'}+digits", "test")
    assert "has no split test; it has train" in message and "--config.evaluation.protocol=validation_1k" in message


def test_a_class_may_be_any_truth_value_or_class_label_of_a_set(folder, tmp_path, refused):
    generator = np.random.default_rng(1)
    images = [(generator.integers(0, 256, (6, 6, 3), np.uint8), number % 3 == 0) for number in range(11)]
    write(tmp_path / "smiles" / "1.0.0", {"train": images}, truth="Smiling")
    smiles = str(tmp_path / "smiles" / "1.0.0")
    for resident in ("true", "false"):
        found, names = read(smiles, label="attributes/Smiling", resident=resident)
        assert names == ("not Smiling", "Smiling")
        np.testing.assert_array_equal(found.labels, [number % 3 == 0 for number in range(11)])
        np.testing.assert_array_equal(np.asarray(found.images), [image for image, _ in images])
    assert read(str(TINY), label="label")[1] == read(str(TINY))[1]
    message = refused(read, smiles)
    assert "has no feature label" in message and "it has attributes/Smiling, image" in message
    assert "neither a class label nor a truth value" in refused(read, smiles, label="image")
    assert "neither a class label nor a truth value" in refused(read, smiles, label="attributes")


def test_a_set_is_called_as_its_folder_wherever_that_lies(tmp_path):
    assert load.title("fashion_mnist") == load.title("/some/where/fashion_mnist/3.0.1") == "fashion_mnist"
    assert load.title(JOINED) == "digits+tiny_digits"
    plus = shutil.copytree(TINY, tmp_path / "a+b" / "1.0.0")
    assert read(str(plus))[1][3] == "three"  # one set in a folder with a plus, not two


@pytest.mark.parametrize(("key", "value"), [("crop", 6), ("size", 5)])
def test_a_judge_must_see_the_images_that_the_run_sees(key, value, refused):
    message = refused(judges.recipe, "configs/judge_digits.py", settings("digits", **{key: value}))
    assert f"data.{key}=None, not {value}" in message and message.endswith(f"sets data.{key}={value}")
    found = judges.recipe("configs/judge_digits.py", load_config("configs/lsdm_digits.py").data)
    assert found.data.name == "digits"
    assert "judges digits, not" in refused(judges.recipe, "configs/judge_digits.py", settings(JOINED))
