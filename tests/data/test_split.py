import importlib.util
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from experiment_jax import UserError
from experiment_jax.config.sections import experiment
from experiment_jax.data import split as data

DATA = Path(__file__).parent.parent / "data"
TINY = DATA / "tiny_digits" / "1.0.0"
TRAIN_SHARD = "tiny_digits-train.array_record-00000-of-00001"
FASHION = Path(os.environ.get("TFDS_DATA_DIR", "tensorflow_datasets")).expanduser() / "fashion_mnist"


def settings(name="digits", **own):
    section = experiment("test", str(name), stages=()).data
    section.update(own)
    return section


def read(name, split, **own):
    return data.read(settings(name, **own), split)


def rows(split):
    """Each image with its label as bytes, sorted: the split as a set with repetition."""
    return sorted(image.tobytes() + bytes([label]) for image, label in zip(split.images, split.labels, strict=True))


def refused(call, *arguments):
    with pytest.raises(UserError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_digits_are_split_once_and_for_all():
    train, test = read("digits", "train")[0], read("digits", "test")[0]
    assert (len(train), len(test)) == (1347, 450)
    np.testing.assert_array_equal(np.bincount(test.labels), [45] * 10)
    assert train.images.shape == (1347, 8, 8, 1) and train.images.dtype == np.uint8 and train.labels.dtype == np.int32
    whole = load_digits()
    pixels = np.rint(whole.images * 255 / 16).astype(np.uint8)[..., None]
    expected = data.Split(pixels, whole.target.astype(np.int32))
    # Together they are the whole set, each image once: nothing is in both.
    assert sorted(rows(train) + rows(test)) == rows(expected)
    # The split that quoted results rest on: it must never move.
    assert int(test.images.astype(np.int64).sum()) == 2237733


def test_validation_is_balanced_cut_from_train_and_never_in_it():
    train = read("digits", "train")[0]
    dataset = data.load(settings(validation=70), seed=3)
    np.testing.assert_array_equal(np.bincount(dataset.validation.labels), [7] * 10)
    assert sorted(rows(dataset.train) + rows(dataset.validation)) == rows(train)
    assert rows(dataset.validation) != rows(data.load(settings(validation=70), seed=4).validation)
    assert rows(dataset.validation) == rows(data.load(settings(validation=70), seed=3).validation)


def test_a_class_without_images_is_no_obstacle_unless_it_must_give_some(tiny, monkeypatch):
    whole, names = data.read(tiny().data, "train")
    without = whole.take(np.flatnonzero(whole.labels != 4))
    monkeypatch.setattr(data, "read", lambda config, split: (without, names))
    assert len(data.load(tiny(data__validation=0).data, 0).train) == len(without)
    with pytest.raises(UserError, match=r"type --config\.data\.validation=0"):
        data.load(tiny().data, 0)
    with pytest.raises(UserError, match=r"class 4 has no image to give; type --config\.data\.paired=None"):
        data.load(tiny(data__validation=0, data__paired=100).data, 0)


def test_paired_images_are_balanced_and_the_other_labels_are_gone():
    dataset = data.load(settings(paired=110, validation=70), seed=0)
    labels = dataset.train.labels
    assert len(labels) == 1347 - 70
    np.testing.assert_array_equal(np.bincount(labels[labels != data.UNPAIRED]), [11] * 10)
    assert set(labels[labels == data.UNPAIRED]) == {-1} and (labels == data.UNPAIRED).sum() == 1347 - 70 - 110
    paired, everything = data.view(dataset, "paired"), data.view(dataset, "all")
    assert len(paired) == 110 and everything.labels is None
    np.testing.assert_array_equal(everything.images, dataset.train.images)
    # The labels that are left are the true ones.
    assert set(rows(paired)) <= set(rows(read("digits", "train")[0]))


def test_the_images_of_the_split_do_not_depend_on_how_many_are_paired():
    few, all_ = (data.load(settings(paired=paired, validation=70), seed=0) for paired in (100, None))
    np.testing.assert_array_equal(few.train.images, all_.train.images)
    assert rows(few.validation) == rows(all_.validation)


def test_unpaired_images_are_kept_by_number_and_more_of_them_hold_fewer():
    none, few, more, every = (data.load(settings(paired=100, unpaired=n, validation=70), 0) for n in (0, 37, 210, None))
    assert [len(each.train) for each in (none, few, more)] == [100, 137, 310]
    for each in (none, few, more):
        assert rows(data.view(each, "paired")) == rows(data.view(every, "paired"))
        labels = data.view(each, "partly").labels
        assert (labels != data.UNPAIRED).sum() == 100 and len(labels) == len(data.view(each, "all"))
    inside = [{image.tobytes() for image in each.train.images} for each in (none, few, more, every)]
    assert inside[0] < inside[1] < inside[2] < inside[3]
    whole = data.load(settings(paired=100, unpaired=1347 - 170, validation=70), 0)
    np.testing.assert_array_equal(whole.train.images, every.train.images)


def test_more_unpaired_images_than_there_are_are_refused_with_how_many_there_are():
    assert "--config.data.unpaired=1177 or less" in refused(
        data.load, settings(paired=100, unpaired=1178, validation=70), 0
    )
    assert "--config.data.unpaired=1247 or less" in refused(data.load, settings(paired=100, unpaired=-1), 0)
    assert "give data.paired too" in refused(data.load, settings(unpaired=10), 0)


def test_hidden_labels_are_minus_one_and_the_given_ones_stay():
    np.testing.assert_array_equal(data.hide_labels(np.array([4, 2, 7, 2]), np.array([1, 2])), [-1, 2, 7, -1])


def test_reading_does_not_hand_out_what_a_caller_may_spoil():
    before = data.load(settings(), seed=0).train.labels.copy()
    data.load(settings(), seed=0).train.labels[:] = 9
    np.testing.assert_array_equal(data.load(settings(), seed=0).train.labels, before)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("paired", 105), ("paired", 0), ("paired", -10), ("paired", 5000), ("validation", 7), ("validation", 1340)],
)
def test_splits_that_cannot_be_are_refused_with_one_that_can(setting, value):
    message = refused(data.load, settings(**{setting: value}), 0)
    assert f"data.{setting}={value}" in message
    suggested = int(message.rpartition(f"--config.data.{setting}=")[2])
    dataset = data.load(settings(**{setting: suggested}), 0)
    assert np.bincount(data.view(dataset, "paired").labels, minlength=10).min() > 0


def test_validation_leaves_no_class_without_training_images():
    # The smallest class has 129 training images.
    assert data.load(settings(validation=1280), 0)
    assert "type --config.data.validation=1280" in refused(data.load, settings(validation=1290), 0)


def test_paired_counts_what_validation_left():
    assert "type --config.data.paired=1220" in refused(data.load, settings(validation=70, paired=1230), 0)


def test_an_unknown_view_names_the_known():
    assert "choose all" in refused(data.view, data.load(settings(), 0), "labels")


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
    assert not set(rows(train)) & set(rows(test))


def test_the_data_folder_is_looked_up_at_every_call(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(DATA))
    assert read("tiny_digits", "train")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert str(tmp_path) in refused(read, "tiny_digits", "train")


def test_the_semi_supervised_split_of_a_prepared_set():
    dataset = data.load(settings(str(TINY), paired=20, validation=10), 0)
    np.testing.assert_array_equal(np.bincount(data.view(dataset, "paired").labels), [2] * 10)
    assert len(data.view(dataset, "all")) == 50 and dataset.image_shape == (8, 8, 1) and dataset.num_classes == 10


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
def test_a_corrupt_set_is_one_line_that_says_how_to_prepare_it(prepared, damage, by, monkeypatch):
    damage(prepared)
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared.parent.parent))
    message = refused(read, "tiny_digits" if by == "name" else str(prepared), "train")
    assert message.endswith(PREPARE)


def test_a_directory_without_its_features_is_corrupt(prepared):
    (prepared / "features.json").unlink()
    assert refused(read, str(prepared), "train").endswith(PREPARE)


@pytest.mark.parametrize("by", ["directory", "name"])
def test_tfrecord_is_refused_with_the_command_that_prepares_array_record(prepared, by, monkeypatch):
    path = prepared / "dataset_info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "fileFormat": "tfrecord"}))
    (prepared / TRAIN_SHARD).rename(prepared / "tiny_digits-train.tfrecord-00000-of-00001")
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared.parent.parent))
    message = refused(read, "tiny_digits" if by == "name" else str(prepared), "train")
    assert "tfrecord" in message and message.endswith(PREPARE)


@pytest.mark.parametrize("installed", [False, True])
def test_a_set_that_is_not_prepared_names_the_commands(installed, monkeypatch, tmp_path):
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
def test_a_set_that_nobody_knows_is_refused(name):
    assert f"data.name={name}" in refused(read, name, "train")


def test_a_set_without_labels_says_what_it_has(prepared):
    path = prepared / "features.json"
    features = json.loads(path.read_text())
    features["featuresDict"]["features"]["digit"] = features["featuresDict"]["features"].pop("label")
    path.write_text(json.dumps(features))
    message = refused(read, str(prepared), "train")
    assert "has no feature label for a class" in message and "digit" in message


def test_a_split_that_is_not_there_is_named(prepared):
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
