import numpy as np
import pytest

from experiment_jax import load_run
from experiment_jax.evaluation.files import read_images, save_samples

IMAGES = np.zeros((5, 4, 3, 1), np.uint8)


@pytest.mark.parametrize("labels", [np.zeros((5, 1), np.int64), np.zeros(4, np.int32), np.zeros(5, np.float32)])
def test_labels_are_one_integer_an_image(labels, tmp_path, refused):
    np.savez(tmp_path / "samples.npz", images=IMAGES, labels=labels)
    assert "labels must be one integer an image, [5], not" in refused(read_images, tmp_path / "samples.npz")


def test_labels_are_read_and_unknown_ones_are_minus_one(tmp_path):
    np.savez(tmp_path / "known.npz", images=IMAGES, labels=np.arange(5))
    np.savez(tmp_path / "unknown.npz", images=IMAGES)
    assert read_images(tmp_path / "known.npz").labels.tolist() == [0, 1, 2, 3, 4]
    assert read_images(tmp_path / "unknown.npz").labels.tolist() == [-1] * 5


def test_samples_are_saved_for_the_images_of_the_protocol(finished, tmp_path):
    """Of the 20 images that the tiny run holds out, two of each class, 20 samples have each label twice."""
    import shutil

    shutil.copytree(finished[1], tmp_path / "run")
    with np.load(save_samples(load_run(tmp_path / "run"), 20, "validation_20")) as saved:
        assert np.bincount(saved["labels"]).tolist() == [2] * 10
        assert saved["images"].shape == (20, 8, 8, 1) and saved["images"].dtype == np.uint8
