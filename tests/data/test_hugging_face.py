"""Hugging Face sets on disk: saved ones and Parquet files; and the one line where the package is not installed."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from experiment_jax.config.sections import experiment
from experiment_jax.data import load

IMAGES = np.random.default_rng(0).integers(0, 256, (13, 6, 5), np.uint8)
LABELS = [0, 1, 1, 0, -1, 1, None, 0, 1, 0, 0, 1, 1]


def read(name, split="train", **own):
    section = experiment("test", str(name), stages=()).data
    section.update(own)
    return load.read(section, split)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """The package, its cache in a folder of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield pytest.importorskip("datasets", reason="needs the optional package datasets: pip install datasets")


@pytest.fixture(scope="module")
def table(datasets):
    """13 images by their files' content in a column `img`, and labels in `fine`."""

    def png(image):
        with io.BytesIO() as file:
            Image.fromarray(image).save(file, "PNG")
            return {"bytes": file.getvalue(), "path": None}

    features = datasets.Features({"img": datasets.Image(), "fine": datasets.ClassLabel(names=["cat", "dog"])})
    return datasets.Dataset.from_dict({"img": list(map(png, IMAGES)), "fine": LABELS}, features=features)


OWN = dict(image="img", label="fine")


def check(found, index=slice(None)):
    split, names = found
    assert names == ("cat", "dog")
    np.testing.assert_array_equal(np.asarray(split.images)[..., 0], IMAGES[index])
    np.testing.assert_array_equal(split.labels, [-1 if label is None else label for label in LABELS[index]])


@pytest.mark.parametrize("resident", ["true", "false"])
def test_a_set_that_was_saved_is_read(resident, table, tmp_path):
    table.save_to_disk(tmp_path / "saved")
    check(read(tmp_path / "saved", resident=resident, **OWN))


def test_splits_that_were_saved_are_train_and_test(datasets, table, tmp_path, refused):
    parts = {"train": table.select(range(9)), "test": table.select(range(9, 13))}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "both")
    check(read(tmp_path / "both", **OWN), slice(9))
    check(read(tmp_path / "both", "test", **OWN), slice(9, 13))
    datasets.DatasetDict({"test": table}).save_to_disk(tmp_path / "alone")
    assert "has no split train; it has test" in refused(read, tmp_path / "alone", **OWN)


def test_parquet_files_are_read(table, tmp_path):
    (tmp_path / "set" / "data").mkdir(parents=True)
    for name, rows in (("train-0", range(9)), ("test-0", range(9, 13)), ("validation-0", range(2))):
        table.select(rows).to_parquet(tmp_path / "set" / "data" / f"{name}.parquet")
    check(read(tmp_path / "set", **OWN), slice(9))
    check(read(tmp_path / "set", "test", **OWN), slice(9, 13))
    check(read(tmp_path / "set" / "data" / "train-0.parquet", **OWN), slice(9))


def test_words_are_classes_and_a_share_is_test(datasets, table, tmp_path):
    words = ["b", "a", None, *"abbaabbaab"]
    own = datasets.Dataset.from_dict({"image": table["img"][:], "label": words})
    own.cast_column("image", datasets.Image()).save_to_disk(tmp_path / "words")
    found, names = read(tmp_path / "words")
    assert names == ("a", "b") and found.labels[:4].tolist() == [1, 0, -1, 0]
    parts = [read(tmp_path / "words", split, test=0.4)[0] for split in ("train", "test")]
    assert sum(map(len, parts)) == 13 and min(map(len, parts)) > 1


def test_columns_that_are_missing_or_no_images_are_named(table, tmp_path, refused):
    table.save_to_disk(tmp_path / "set")
    message = refused(read, tmp_path / "set", image="img")
    assert (
        message
        == f"data.name={tmp_path / 'set'}: has no column label; type --config.data.label=COLUMN: it has img, fine"
    )
    assert "has no column image; type --config.data.image=COLUMN: it has img, fine" in refused(read, tmp_path / "set")
    assert "not an image; type --config.data.image=COLUMN" in refused(
        read, tmp_path / "set", image="fine", label="fine"
    )


def test_damaged_files_are_one_line(table, tmp_path, refused):
    table.to_parquet(tmp_path / "set.parquet")
    (tmp_path / "set.parquet").write_bytes((tmp_path / "set.parquet").read_bytes()[:300])
    assert f"data.name={tmp_path / 'set.parquet'}: cannot be read (" in refused(read, tmp_path / "set.parquet", **OWN)


def test_without_the_package_it_is_said_what_to_install(tmp_path, monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "datasets", None)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "state.json").touch()
    assert refused(read, tmp_path / "set").endswith("the package datasets is not installed; type: pip install datasets")
