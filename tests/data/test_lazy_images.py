"""Images that are read when they are asked for: the same split, batches and runs as of images in memory."""

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from experiment_jax import UserError, load_run, train
from experiment_jax.config.sections import experiment
from experiment_jax.data import lazy_images as streamed
from experiment_jax.data import sources
from experiment_jax.data import split as data
from experiment_jax.data import tfds as prepared
from experiment_jax.data.lazy_images import Images
from experiment_jax.runs import checkpoints, reuse
from experiment_jax.runs import directory as run_directory

TINY = Path(__file__).parent.parent / "data" / "tiny_digits" / "1.0.0"


def settings(name, **own):
    section = experiment("test", str(name), stages=()).data
    section.update(own)
    return section


@pytest.fixture(autouse=True)
def read_anew():
    """Sets are read once a process; here they are read in several ways."""
    sources._read.cache_clear()
    yield
    sources._read.cache_clear()


@pytest.fixture
def decoded(monkeypatch):
    """The indices of the examples whose images are decoded, as they are."""
    seen, opened, lock = [], prepared.source, threading.Lock()

    def watched(*arguments):
        source = opened(*arguments)

        def rows(index):
            with lock:
                seen.extend(index)
            return source.rows(index)

        return prepared.Source(source.name, source.count, source.class_names, rows, source.labels)

    monkeypatch.setattr(prepared, "source", watched)
    return seen


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("digits", dict(validation=70, paired=110, unpaired=37)),
        (TINY, dict(validation=10, crop=7, size=5)),
        (f"digits+{TINY}", dict(validation=14, paired=22)),
    ],
)
def test_split_and_views_are_those_of_images_in_memory(name, own, monkeypatch):
    monkeypatch.setattr(streamed, "CHUNK", 23)
    memory, disk = (data.load(settings(name, resident=resident, **own), 3) for resident in ("true", "false"))
    assert memory.class_names == disk.class_names and memory.image_shape == disk.image_shape
    np.testing.assert_array_equal(disk.validation.images, memory.validation.images)
    for view in ("all", "paired", "partly", *(("digits", "tiny_digits") if memory.sources is not None else ())):
        here, there = data.view(memory, view), data.view(disk, view)
        assert isinstance(there.images, Images) and there.images.shape == here.images.shape
        np.testing.assert_array_equal(there.images, here.images)
        assert (here.labels is None) == (there.labels is None)
        if here.labels is not None:
            np.testing.assert_array_equal(there.labels, here.labels)
            assert there.labels.dtype == here.labels.dtype
        assert reuse.content(here) == reuse.content(there)


def test_images_on_disk_are_indexed_as_an_array_is():
    array = np.random.default_rng(0).integers(0, 256, (11, 4, 3, 1), np.uint8)
    images = Images(lambda index: array[index], (4, 3, 1), np.arange(11))
    chosen = np.array([[7, 0, 7], [2, 10, 5]])
    for where in (4, -1, slice(2, 9, 3), slice(None), chosen, np.arange(11) % 3 == 0, [1, 2], slice(3, 3)):
        np.testing.assert_array_equal(images[where], array[where])
    taken = images.take(chosen[1])
    np.testing.assert_array_equal(taken[1:], array[chosen[1]][1:])
    np.testing.assert_array_equal(np.ones((11, 4, 3, 1), np.float32) - images, 1.0 - array.astype(np.float32))
    for size in (3, 11, 20):
        parts = list(streamed.slices(images, size))
        assert [len(part) for part in parts] == [len(array[at : at + size]) for at in range(0, 11, size)]
        np.testing.assert_array_equal(np.concatenate(parts), array)
    with pytest.raises(IndexError):
        images[:, :, ::-1]


def test_opening_a_set_decodes_one_image_and_a_batch_its_own(decoded):
    dataset = data.load(settings(TINY, resident="false", paired=20), 0)
    assert decoded == [0]  # for the shape
    view = data.view(dataset, "paired")
    assert view.images[np.array([3, 1])].shape == (2, 8, 8, 1)
    assert len(decoded) == 3


def test_sets_of_many_bytes_are_read_when_they_are_asked_for(monkeypatch):
    def images(bytes, resident="auto"):
        sources._read.cache_clear()
        monkeypatch.setattr(sources, "LARGEST", bytes)
        return data.read(settings(TINY, resident=resident), "train")[0].images

    assert isinstance(images(60 * 64), np.ndarray) and isinstance(images(60 * 64 - 1), Images)
    assert isinstance(images(0, "true"), np.ndarray) and isinstance(images(60 * 64, "false"), Images)


def refused(call, *arguments):
    with pytest.raises(UserError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_choice_that_is_none_is_refused():
    assert refused(data.load, settings("digits", resident="yes"), 0) == (
        "data.resident=yes: choose one of auto, true, false"
    )


def test_a_set_that_cannot_be_read_at_random_is_refused_before_anything_is_read(tmp_path):
    folder = Path(shutil.copytree(TINY, tmp_path / "tiny_digits" / "1.0.0"))
    path = folder / "dataset_info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "fileFormat": "tfrecord"}))
    message = refused(data.load, settings(folder, resident="false"), 0)
    assert "tfrecord" in message and message.endswith("--file_format=array_record --overwrite")


def test_what_is_found_to_be_damaged_while_it_is_read_is_one_line():
    def read(index):
        raise UserError("data.name=x: cannot be read")

    images = Images(read, (8, 8, 1), np.arange(9))
    assert refused(list, streamed.slices(images, 4)) == "data.name=x: cannot be read"


def test_a_run_ends_as_that_of_images_in_memory(finished, tiny, one, tmp_path):
    frozen = train(tiny(data__resident="false"), tmp_path, one)
    assert run_directory.read_metrics(tmp_path) == run_directory.read_metrics(finished[1])
    for name, own in frozen.items():
        there, record = checkpoints.load_finished(finished[1], name)
        assert checkpoints.digest(own) == checkpoints.digest(there)
        assert checkpoints.finished_record(tmp_path, name)["identity"] == record["identity"]
    assert isinstance(load_run(tmp_path).dataset.train.images, Images)
