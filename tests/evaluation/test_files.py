"""Anybody's samples, made of the digits' own test images, and samples that a run saves."""

import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from experiment_jax import load_run
from experiment_jax.data import load
from experiment_jax.evaluation.evaluate import evaluate_images
from experiment_jax.evaluation.files import read_images, save_samples


@pytest.fixture(scope="module")
def test_images(digits):
    """The 450 test images of digits and their labels."""
    return load.read(digits().data, "test")[0]


@pytest.fixture
def read(digits):
    """`read(path)` -> what evaluation makes of it for digits."""
    return lambda path: read_images(path, digits().data)


@pytest.fixture(scope="module")
def mixed(test_images, tmp_path_factory):
    """300 PNG, 75 GIF and 75 WebP of the test images, in folders of classes and deeper ones."""
    folder = tmp_path_factory.mktemp("mixed")
    for number, (image, label) in enumerate(zip(test_images.images[..., 0], test_images.labels, strict=True)):
        ending = ("png", "png", "png", "png", "gif", "webp")[number % 6]
        path = folder / str(label) / f"part{number % 2}" / f"{number:03}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, **dict(lossless=True) if ending == "webp" else {})
    return folder


def test_real_images_as_mixed_files_are_at_distance_nought_and_as_accurate_as_they_are(
    mixed, test_images, read, digits, reference
):
    """The rounding of the distance is that of its terms, the traces of covariances."""
    found = read(mixed)
    assert len(found) == 450
    measured = evaluate_images(digits(), found.images, found.labels, protocol="test_450")
    assert abs(measured["fd_gen"]) < 1e-5 * np.trace(reference.space.moments.covariance)
    assert measured["accuracy_gen"] == measured["accuracy_real"]
    assert measured["precision"] == measured["recall"] == 1 and "num_labelled" not in measured


def test_accuracy_is_of_the_images_whose_labels_are_known(test_images, reference, caplog):
    features, verdicts = reference.features, reference.judge.classify(reference.features)
    labels = np.where(np.arange(450) < 350, test_images.labels, -1)
    measured = reference.measure_samples(test_images.images, features, labels)
    assert measured["accuracy_gen"] == np.mean(verdicts[:350] == test_images.labels[:350])
    assert measured["num_labelled"] == 350 and "350 of 450 labels are known" in caplog.text
    unknown = reference.measure_samples(test_images.images, features, np.full(450, -1))
    assert not {"accuracy_gen", "num_labelled"} & unknown.keys()


@pytest.mark.parametrize("names", [("images", "labels"), ("arr_0", "arr_1"), ("arr_0", "labels")])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_is_read_by_its_names_or_by_numpys(names, save, test_images, read, tmp_path):
    save(tmp_path / "samples.npz", **dict(zip(names, (test_images.images, test_images.labels), strict=True)))
    found = read(tmp_path / "samples.npz")
    np.testing.assert_array_equal(found.images, test_images.images)
    np.testing.assert_array_equal(found.labels, test_images.labels)


@pytest.mark.parametrize(
    "labels",
    [
        lambda labels: np.eye(10)[labels],
        lambda labels: labels[:, None],
        lambda labels: labels + 1,
        lambda labels: labels.astype(str),
        lambda labels: labels.astype(np.float32),
    ],
)
def test_labels_and_layouts_are_taken_for_what_they_mean(labels, test_images, read, tmp_path):
    images = np.moveaxis(np.repeat(test_images.images, 3, axis=-1), -1, 1).astype(np.float32)
    np.savez(tmp_path / "samples.npz", images, labels(test_images.labels))
    found = read(tmp_path / "samples.npz")
    np.testing.assert_array_equal(found.images, test_images.images)
    np.testing.assert_array_equal(found.labels, test_images.labels)


def test_what_else_an_npz_holds_is_named_and_labels_may_be_absent(test_images, read, tmp_path, caplog):
    np.savez(tmp_path / "samples.npz", images=test_images.images, y=test_images.labels)
    assert (read(tmp_path / "samples.npz").labels == -1).all()
    assert "samples.npz: what is not read: y" in caplog.text


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        (lambda images: dict(x=images, y=images), "samples.npz: holds x, y; name its arrays images and labels"),
        (lambda images: {}, "samples.npz: holds nothing; name"),
        (lambda images: dict(images=images.astype(object)), "samples.npz: holds Python objects, which are not read"),
        (lambda images: dict(images=images, labels=np.array([None] * 450)), "holds Python objects"),
        (lambda images: dict(images=images / 255), "samples.npz: images hold float64 from 0 to 1"),
        (lambda images: dict(images=np.where(images > 250, np.nan, images)), "NaN"),
        (lambda images: dict(images=np.zeros_like(images)), "hold one value, 0, everywhere"),
        (lambda images: dict(images=np.repeat(images[:1], 450, axis=0)), "all 450 images are the same"),
        (lambda images: dict(images=images[:3]), "holds 3 images; give 4 or more"),
        (lambda images: dict(images=images[:0]), "there are no images"),
        (lambda images: dict(images=images, labels=np.zeros(449, int)), "labels are [449] for 450 images"),
    ],
)
def test_an_npz_of_something_else_is_refused(arrays, reason, test_images, read, tmp_path, refused):
    np.savez(tmp_path / "samples.npz", **arrays(test_images.images))
    line = refused(read, tmp_path / "samples.npz")
    assert line.startswith(f"--images {tmp_path / 'samples.npz'}: ") and reason in line


def test_a_broken_or_foreign_npz_is_refused(test_images, read, tmp_path, refused):
    path = tmp_path / "samples.npz"
    np.savez(path, images=test_images.images, labels=test_images.labels)
    content = path.read_bytes()
    for broken in (b"", content[:100], content[:-30], b"PK\x03\x04", content[:3000] + b"\xff" + content[3001:]):
        path.write_bytes(broken)
        assert refused(read, path).startswith(f"--images {path}: ")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images", "no array")
    assert "holds files that are no arrays" in refused(read, path)
    assert "there is no such file or folder" in refused(read, tmp_path / "absent.npz")
    assert "cannot be looked at (File name too long)" in refused(read, tmp_path / ("long" * 200))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("3/part0/notes.txt", b"a note", "is no PNG, JPEG, WebP, GIF, BMP, TIFF, PPM, JPEG 2000 or AVIF"),
        ("labels.txt", b"3 4 5", "is no PNG, JPEG, WebP, GIF, BMP, TIFF, PPM, JPEG 2000 or AVIF"),
        ("3/part0/000.png", b"", "is empty, 0 bytes"),
        (
            "3/part0/000.png",
            b"\x89PNG\r\n\x1a\n\0\0",
            "is no PNG, JPEG, WebP, GIF, BMP, TIFF, PPM, JPEG 2000 or AVIF, or its beginning is broken",
        ),
    ],
)
def test_no_file_of_a_folder_is_left_out(name, content, reason, mixed, read, tmp_path, refused):
    folder = shutil.copytree(mixed, tmp_path / "folder")
    (folder / name).write_bytes(content)
    line = refused(read, folder)
    assert line.startswith(f"--images {folder / name}: {reason}")


def test_the_first_file_of_another_size_is_named(mixed, test_images, read, tmp_path, refused):
    folder = shutil.copytree(mixed, tmp_path / "folder")
    for number in (7, 8):
        Image.fromarray(test_images.images[0, :7, :, 0]).save(folder / str(number) / "odd.png")
    expected = f"--images {folder / '7' / 'odd.png'}: is 8x7 pixels; the data set's images are 8x8: resize it to that"
    assert refused(read, folder) == expected


def test_the_script_refuses_in_one_line(mixed, script, tmp_path):
    config = ["--config", "configs/lsdm_digits.py"]
    np.savez(tmp_path / "samples.npz", images=np.full((450, 8, 8, 1), np.nan))
    (tmp_path / "empty").mkdir()
    for path, reason in (
        ("samples.npz", "NaN or infinite"),
        ("empty", "holds no image"),
        ("absent", "there is no such"),
    ):
        status, output, error = script("eval.py", "--images", tmp_path / path, *config)
        assert (status, output, error.count("\n")) == (2, "", 1) and reason in error


def test_samples_are_saved_for_the_images_of_the_protocol(finished, tmp_path):
    """Of the 20 images that the tiny run holds out, two of each class, 20 samples have each label twice."""
    shutil.copytree(finished[1], tmp_path / "run")
    with np.load(save_samples(load_run(tmp_path / "run"), 20, "validation_20")) as saved:
        assert np.bincount(saved["labels"]).tolist() == [2] * 10
        assert saved["images"].shape == (20, 8, 8, 1) and saved["images"].dtype == np.uint8
