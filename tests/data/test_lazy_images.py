"""Images that are read when they are asked for: the same split, batches and runs as of images in memory."""

import itertools
import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest

from experiment_jax import UserError, load_run, train
from experiment_jax.config.sections import experiment
from experiment_jax.data import load
from experiment_jax.data.lazy_images import Images, slices
from experiment_jax.data.split import view
from experiment_jax.runs import reuse
from experiment_jax.runs.finished import finished_record
from experiment_jax.runs.verified import digest
from experiment_jax.training.logger import read_metrics

DATA = Path(__file__).parent
TINY = DATA / "tiny_digits" / "1.0.0"
written = runpy.run_path(str(DATA / "write_tiny_digits.py"))


def settings(name, **own):
    section = experiment("test", str(name), stages=()).data
    section.update(own)
    return section


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("digits", dict(validation=70, paired=110, unpaired=37)),
        (TINY, dict(validation=10, crop=7, size=5)),
        (f"digits+{TINY}", dict(validation=14, paired=22)),
    ],
)
def test_split_and_views_are_those_of_images_in_memory(name, own):
    memory, disk = (load.load(settings(name, resident=resident, **own), 3) for resident in ("true", "false"))
    assert memory.class_names == disk.class_names and memory.image_shape == disk.image_shape
    np.testing.assert_array_equal(disk.validation.images, memory.validation.images)
    for seen in ("all", "paired", "mixed", *(("digits", "tiny_digits") if memory.sources is not None else ())):
        here, there = view(memory, seen), view(disk, seen)
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
        parts = list(slices(images, size))
        assert [len(part) for part in parts] == [len(array[at : at + size]) for at in range(0, 11, size)]
        np.testing.assert_array_equal(np.concatenate(parts), array)
    with pytest.raises(IndexError):
        images[:, :, ::-1]


def test_opening_a_set_decodes_one_image_and_a_batch_its_own(tmp_path, refused):
    def opened(name, whole):
        """The pairs of a set whose images, but those numbered in `whole`, are of another size: they cannot be read."""
        rows = [(np.full((8, 8) if number in whole else (9, 7), number, np.uint8), number % 10) for number in range(60)]
        folder = tmp_path / name / "numbers" / "1.0.0"
        written["write"](folder, {"train": rows}, written["CLASSES"])
        return view(load.load(settings(folder, resident="false", paired=20), 0), "paired").images

    batch = np.array([3, 1])
    numbers = opened("all", range(60))[batch][:, 0, 0, 0]
    assert 0 not in numbers
    images = opened("first", [0])  # for the shape
    assert "it has 8x8x1 and 9x7x1" in refused(images.__getitem__, batch)
    np.testing.assert_array_equal(opened("batch", [0, *numbers])[batch][:, 7, 7, 0], numbers)


def test_sets_of_many_bytes_are_read_when_they_are_asked_for(monkeypatch, tmp_path):
    number = itertools.count()

    def images(bytes, resident="auto"):
        folder = shutil.copytree(TINY, tmp_path / str(next(number)) / "tiny_digits" / "1.0.0")  # one set is read once
        monkeypatch.setattr(load, "LARGEST", bytes)
        return load.read(settings(folder, resident=resident), "train")[0].images

    assert isinstance(images(60 * 64), np.ndarray) and isinstance(images(60 * 64 - 1), Images)
    assert isinstance(images(0, "true"), np.ndarray) and isinstance(images(60 * 64, "false"), Images)


def test_a_choice_that_is_none_is_refused(refused):
    assert refused(load.load, settings("digits", resident="yes"), 0) == (
        "data.resident=yes: choose one of auto, true, false"
    )


def test_a_set_that_cannot_be_read_at_random_is_refused_before_anything_is_read(tmp_path, refused):
    folder = Path(shutil.copytree(TINY, tmp_path / "tiny_digits" / "1.0.0"))
    path = folder / "dataset_info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "fileFormat": "tfrecord"}))
    message = refused(load.load, settings(folder, resident="false"), 0)
    assert "tfrecord" in message and message.endswith("--file_format=array_record --overwrite")


def test_what_is_found_to_be_damaged_while_it_is_read_is_one_line(refused):
    def read(index):
        raise UserError("data.name=x: cannot be read")

    images = Images(read, (8, 8, 1), np.arange(9))
    assert refused(list, slices(images, 4)) == "data.name=x: cannot be read"


def test_a_run_ends_as_that_of_images_in_memory(finished, tiny, one, tmp_path):
    frozen = train(tiny(data__resident="false"), tmp_path, one)
    assert read_metrics(tmp_path) == read_metrics(finished[1])
    for name, own in frozen.items():
        there, here = (finished_record(each, name) for each in (finished[1], tmp_path))
        assert digest(own) == there["digest"] and here["identity"] == there["identity"]
    assert isinstance(load_run(tmp_path).dataset.train.images, Images)
