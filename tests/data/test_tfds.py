"""Prepared TFDS sets: read by folder and by name; what is wrong with one is a line that says what to type."""

import importlib.util
import io
import json
import os
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from experiment_jax import load_config, train
from experiment_jax.config.sections import experiment
from experiment_jax.data import load
from experiment_jax.data.split import view

DATA = Path(__file__).parent
write = runpy.run_path(str(DATA / "write_tiny_digits.py"))["write"]
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


def edit_features(folder, **features):
    """Replaces features of a prepared set by others; their records stay."""
    path = folder / "features.json"
    content = json.loads(path.read_text())
    content["featuresDict"]["features"].update(features)
    path.write_text(json.dumps(content))


def tensor(dtype, *dimensions):
    kind = "tensorflow_datasets.core.features.tensor_feature.Tensor"
    shape = {"dimensions": [str(each) for each in dimensions]} if dimensions else {}
    return {"pythonClassName": kind, "tensor": {"dtype": dtype, "encoding": "none", "shape": shape}}


def image(dtype, *dimensions):
    kind = "tensorflow_datasets.core.features.image_feature.Image"
    shape = {"dimensions": [str(each) for each in dimensions]}
    return {"pythonClassName": kind, "image": {"dtype": dtype, "shape": shape}}


CLASS = {
    "pythonClassName": "tensorflow_datasets.core.features.class_label_feature.ClassLabel",
    "classLabel": {"numClasses": "10"},
}
SEQUENCE = {
    "pythonClassName": "tensorflow_datasets.core.features.sequence_feature.Sequence",
    "sequence": {"feature": CLASS, "length": "-1"},
}
TEXT = {"pythonClassName": "tensorflow_datasets.core.features.text_feature.Text", "text": {}}
NO_CLASS = "data.label=label: is neither a class label nor a truth value; choose another feature"


@pytest.mark.parametrize("label", [tensor("float32"), tensor("int64"), tensor("bool", 3), TEXT, SEQUENCE])
def test_labels_of_other_types_are_refused(label, prepared, refused):
    edit_features(prepared, label=label)
    assert refused(read, str(prepared), "train") == NO_CLASS


@pytest.mark.parametrize("resident", ["true", "false"])
def test_a_label_that_is_no_class_is_named_and_minus_one_is_none(resident, tmp_path, refused):
    digits = [(each, number % 10) for number, each in enumerate(load_digits().images[:20].astype(np.uint8))]
    for label, reason in ((10, "label of image 7 of train is 10; its 10 classes are 0 to 9"), (-2, "is -2; its 10")):
        folder = tmp_path / f"wrong{label}" / "1.0.0"
        write(folder, {"train": [*digits[:7], (digits[7][0], label), *digits[8:]]}, tuple("0123456789"))
        message = refused(read, str(folder), "train", resident=resident)
        assert reason in message and message.endswith("--overwrite")
    folder = tmp_path / "unknown" / "1.0.0"
    write(folder, {"train": [*digits[:7], (digits[7][0], -1), *digits[8:]]}, tuple("0123456789"))
    found = read(str(folder), "train", resident=resident)[0]
    np.testing.assert_array_equal(found.labels, [-1 if i == 7 else i % 10 for i in range(20)])


def test_features_of_other_names_are_read(tmp_path, refused):
    digits = [(each, number % 10) for number, each in enumerate(load_digits().images[:20].astype(np.uint8))]
    folder = tmp_path / "renamed" / "1.0.0"
    write(folder, {"train": digits}, tuple("0123456789"), names={"image": "img", "label": "fine_label"})
    found = read(str(folder), "train", image="img", label="fine_label")[0]
    np.testing.assert_array_equal(found.images[..., 0], [image for image, _ in digits])
    assert found.labels.tolist() == [label for _, label in digits]
    message = refused(read, str(folder), "train", label="fine_label")
    assert "has no feature image; type --config.data.image=FEATURE: it has " in message and "img" in message
    test, rest = (read(str(folder), split, image="img", label="fine_label", test=0.3)[0] for split in ("test", "train"))
    assert len(test) + len(rest) == 20 and min(len(test), len(rest)) > 1


def content(image, kind="PNG", **options):
    with io.BytesIO() as file:
        image.save(file, kind, **options)
        return file.getvalue()


def of_mode(mode):
    """Images of a mode, as the content of files, and what they show."""
    generator = np.random.default_rng(0)
    grey = [generator.integers(0, 256, (8, 8), np.uint8) for _ in range(5)]
    if mode == "I;16":
        return [content(Image.fromarray(each.astype(np.uint16) * 257)) for each in grey], grey
    if mode == "P":
        indexed = [Image.fromarray(each).convert("P") for each in grey]
        for each in indexed:
            each.putpalette(bytes(np.repeat(np.arange(256, dtype=np.uint8)[::-1], 3)))
        return [content(each) for each in indexed], [255 - each for each in grey]
    if mode == "CMYK":  # of one colour, which a JPEG holds up to rounding
        inks = [Image.new("CMYK", (8, 8), (0, 0, 0, 255 - int(each[0, 0]))) for each in grey]
        return [content(each, "JPEG", quality=100) for each in inks], [np.full((8, 8), each[0, 0]) for each in grey]
    return [content(Image.fromarray(each).convert(mode)) for each in grey], grey


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "I;16", "CMYK"])
@pytest.mark.parametrize("channels", [-1, 1, 3, 4])
def test_images_of_every_mode_are_what_they_show(mode, channels, tmp_path):
    files, shown = of_mode(mode)
    folder = tmp_path / "modes" / "1.0.0"
    write(folder, {"train": [(each, 0) for each in files]}, ("one", "two"))
    edit_features(folder, image=image("uint16" if mode == "I;16" else "uint8", -1, -1, channels))
    found = read(str(folder), "train")[0].images
    as_they_are = 1 if mode in ("L", "LA", "I;16") else 3
    assert found.shape == (5, 8, 8, channels if channels in (1, 3) else as_they_are)
    np.testing.assert_allclose(found, np.broadcast_to(np.stack(shown)[..., None], found.shape), atol=mode == "CMYK")


def test_images_that_cannot_be_read_are_named_before_anything_is_written(tmp_path, refused, one):
    whole = content(Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)))
    clear = content(Image.new("RGBA", (8, 8), (0, 0, 0, 7)))
    red = content(Image.new("RGB", (8, 8), (255, 0, 0)))
    for number, (bad, reason) in enumerate(
        [(whole[:-20], "cannot be read"), (b"no image", "is no PNG, JPEG"), (clear, "are transparent"),
         (red, "shows colours; the data set's images are grey"), (b"", "record 3 of train is empty")]
    ):  # fmt: skip
        folder = tmp_path / f"set{number}" / "1.0.0"
        write(folder, {"train": [(whole, 0)] * 3 + [(bad, 1)] + [(whole, 1)] * 3}, ("one", "two"))
        edit_features(folder, image=image("uint8", 8, 8, 1))
        config = load_config("configs/lsdm_digits.py", {"data.name": str(folder), "data.validation": 0})
        message = refused(train, config, tmp_path / "run", one)
        assert message.startswith(f"data.name={folder}: ") and reason in message and " 3 of train" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "feature", [image("float32", 8, 8, 1), tensor("float32", 8, 8, 1), tensor("uint8", 8, 8), TEXT]
)
def test_what_is_no_image_of_bytes_is_refused(feature, prepared, refused):
    edit_features(prepared, image=feature)
    assert "prepare" in refused(read, str(prepared), "train")


def test_tfds_decodes_no_image(monkeypatch):
    """It would by OpenCV where that is installed, and by Pillow where it is not."""
    monkeypatch.setattr("tensorflow_datasets.features.Image.decode_example_np", None)
    monkeypatch.setattr("tensorflow_datasets.features.Image.decode_example", None)
    assert read(str(TINY), "train", size=7)[0].images.shape == (60, 7, 7, 1)  # a size that no other test has read
