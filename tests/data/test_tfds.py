"""Prepared TFDS sets: read by folder and by name; what is wrong with one is a line that says what to type."""

import importlib.util
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from experiment_jax.config.sections import experiment
from experiment_jax.data import load
from experiment_jax.data.split import view

DATA = Path(__file__).parent
TINY = DATA / "tiny_digits" / "1.0.0"
TRAIN_SHARD = "tiny_digits-train.array_record-00000-of-00001"
FASHION = Path(os.environ.get("TFDS_DATA_DIR", "tensorflow_datasets")).expanduser() / "fashion_mnist"


def settings(name, **own):
    section = experiment("test", str(name), stages=()).data
    section.update(own)
    return section


def read(name, split, **own):
    return load.read(settings(name, **own), split)


@pytest.fixture
def prepared(tmp_path):
    """A copy of the tiny set that a test may damage."""
    return Path(shutil.copytree(TINY, tmp_path / "tiny_digits" / "1.0.0"))


@pytest.mark.parametrize("by", ["directory", "name"])
def test_a_prepared_set_is_read_by_directory_and_by_name(by, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(DATA))
    name = "tiny_digits" if by == "name" else str(TINY)
    train, names = read(name, "train")
    test, _ = read(name, "test")
    np.testing.assert_array_equal(np.bincount(train.labels), [6] * 10)
    np.testing.assert_array_equal(np.bincount(test.labels), [2] * 10)
    assert names[3] == "three" and train.images.shape == (60, 8, 8, 1) and train.labels.dtype == np.int32
    digits = load_digits()
    first = np.rint(digits.images * 255 / 16).astype(np.uint8)
    np.testing.assert_array_equal(train.images[:10, ..., 0], first[:10])  # the first ten are 0 … 9
    np.testing.assert_array_equal(train.labels[:10], digits.target[:10])
    assert not {image.tobytes() for image in train.images} & {image.tobytes() for image in test.images}


def test_the_data_folder_is_looked_up_at_every_call(monkeypatch, tmp_path, refused):
    monkeypatch.setenv("TFDS_DATA_DIR", str(DATA))
    assert read("tiny_digits", "train")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert str(tmp_path) in refused(read, "tiny_digits", "train")


def test_the_semi_supervised_split_of_a_prepared_set():
    dataset = load.load(settings(str(TINY), paired=20, validation=10), 0)
    np.testing.assert_array_equal(np.bincount(view(dataset, "paired").labels), [2] * 10)
    assert len(view(dataset, "all")) == 50 and dataset.image_shape == (8, 8, 1) and dataset.num_classes == 10


PREPARE = "tfds build tiny_digits --file_format=array_record --overwrite"


def truncate(folder):
    shard = folder / TRAIN_SHARD
    shard.write_bytes(shard.read_bytes()[:65536])


def overwrite(folder):
    shard = folder / TRAIN_SHARD
    content = shard.read_bytes()
    shard.write_bytes(content[:1000] + b"\x55" * 4000 + content[5000:])


def remove(folder):
    (folder / TRAIN_SHARD).unlink()


def break_json(folder):
    (folder / "dataset_info.json").write_text("{")


def promise_more(folder):
    path = folder / "dataset_info.json"
    path.write_text(path.read_text().replace('"60"', '"61"'))


@pytest.mark.parametrize("damage", [truncate, overwrite, remove, break_json, promise_more])
@pytest.mark.parametrize("by", ["directory", "name"])
def test_a_corrupt_set_is_one_line_that_says_how_to_prepare_it(prepared, damage, by, monkeypatch, refused):
    damage(prepared)
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared.parent.parent))
    message = refused(read, "tiny_digits" if by == "name" else str(prepared), "train")
    assert message.endswith(PREPARE)


def test_a_directory_without_its_features_is_corrupt(prepared, refused):
    (prepared / "features.json").unlink()
    assert refused(read, str(prepared), "train").endswith(PREPARE)


@pytest.mark.parametrize("by", ["directory", "name"])
def test_tfrecord_is_refused_with_the_command_that_prepares_array_record(prepared, by, monkeypatch, refused):
    path = prepared / "dataset_info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "fileFormat": "tfrecord"}))
    (prepared / TRAIN_SHARD).rename(prepared / "tiny_digits-train.tfrecord-00000-of-00001")
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared.parent.parent))
    message = refused(read, "tiny_digits" if by == "name" else str(prepared), "train")
    assert "tfrecord" in message and message.endswith(PREPARE)


@pytest.mark.parametrize("installed", [False, True])
def test_a_set_that_is_not_prepared_names_the_commands(installed, monkeypatch, tmp_path, refused):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: installed or None if name == "tensorflow" else find(name)
    )
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    message = refused(read, "mnist", "train")
    assert ("pip install tensorflow-cpu && " in message) is not installed
    assert message.endswith("tfds build mnist --file_format=array_record --overwrite") and str(tmp_path) in message
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["no_such_set", "./no/such/folder", str(DATA)])
def test_a_set_that_nobody_knows_is_refused(name, refused):
    assert f"data.name={name}" in refused(read, name, "train")


def test_a_set_without_labels_says_what_it_has(prepared, refused):
    path = prepared / "features.json"
    features = json.loads(path.read_text())
    features["featuresDict"]["features"]["digit"] = features["featuresDict"]["features"].pop("label")
    path.write_text(json.dumps(features))
    message = refused(read, str(prepared), "train")
    assert "has no feature label for a class" in message and "digit" in message


def test_a_split_that_is_not_there_is_named(prepared, refused):
    path = prepared / "dataset_info.json"
    path.write_text(path.read_text().replace('"name": "test"', '"name": "validation"'))
    assert "has no split test; it has" in refused(read, str(prepared), "test")


@pytest.mark.tfds
@pytest.mark.skipif(not FASHION.is_dir(), reason=f"no prepared fashion_mnist: {FASHION} is not there (TFDS_DATA_DIR)")
def test_fashion_mnist_is_whole_and_balanced():
    for split, each in (("train", 6000), ("test", 1000)):
        images, labels = vars(read("fashion_mnist", split)[0]).values()
        assert images.shape == (10 * each, 28, 28, 1) and images.dtype == np.uint8
        np.testing.assert_array_equal(np.bincount(labels), [each] * 10)
    # The mean pixel of the official training set is 0.2860 of white.
    np.testing.assert_allclose(read("fashion_mnist", "train")[0].images.mean() / 255, 0.2860, atol=5e-5)
