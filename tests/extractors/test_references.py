"""Reference statistics in files: what they hold, what uses them, and what does not fit."""

import json

import numpy as np
import pytest

from experiment_jax.evaluation.evaluate import evaluate_images, reference_of
from experiment_jax.evaluation.kept_reference import keep_reference
from experiment_jax.evaluation.plan import Plan
from experiment_jax.extractors import references


@pytest.fixture(scope="module")
def kept(digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "digits.npz"
    return path, keep_reference(digits(), str(path))


def test_a_reference_says_what_it_was_made_of(kept, reference):
    path, about = kept
    judge = reference.judge
    assert about == {
        "extractor": "judge",
        "extractor_digest": judge.digest,
        "resize": "none",
        "split": "test",
        "shape": [8, 8, 1],
        "digest": about["digest"],
        "data": "digits",
        "images": 450,
    }
    with np.load(path) as file:
        np.testing.assert_array_equal(file["mu"], reference.space.moments.mean)
        np.testing.assert_array_equal(file["sigma"], reference.space.moments.covariance)
        assert json.loads(str(file["about"])) == about


def test_with_a_reference_the_distance_is_the_same_and_what_needs_images_is_absent(kept, digits, reference):
    samples = reference.real.other
    own = evaluate_images(digits(), samples.images, samples.labels)
    given = evaluate_images(digits(), samples.images, samples.labels, references=(str(kept[0]),))
    assert given["fd_gen"] == own["fd_gen"] and given["references"] == str(kept[0])
    assert {"kid_gen", "precision", "recall"} <= own.keys() - given.keys()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (dict(digest="0" * 12), "is of other images (digest: 000000000000, not "),
        (dict(split="train"), "is of other images (split: train, not test)"),
        (dict(shape=[28, 28, 1]), "is of other images (shape: [28, 28, 1], not [8, 8, 1])"),
        (dict(extractor_digest="0" * 12), "is in other features (extractor_digest: 000000000000, not "),
        (dict(resize="bilinear"), "is in other features (resize: bilinear, not none)"),
        (dict(extractor="vgg16"), "is in vgg16's features; type --extractor vgg16 too"),
    ],
)
def test_what_does_not_fit_is_refused(change, reason, kept, digits, tmp_path, refused):
    with np.load(kept[0]) as file:
        arrays = dict(file)
    arrays["about"] = json.dumps({**json.loads(str(arrays["about"])), **change})
    np.savez(tmp_path / "other.npz", **arrays)
    message = refused(reference_of, digits(), Plan(references=(str(tmp_path / "other.npz"),)))
    assert message.startswith(f"--reference {tmp_path / 'other.npz'}: ") and reason in message


def test_others_statistics_are_inceptions_alone(kept, digits, tmp_path, caplog, refused):
    with np.load(kept[0]) as file:
        np.savez(tmp_path / "fid.npz", mu=file["mu"], sigma=file["sigma"])
    plan = Plan(references=(str(tmp_path / "fid.npz"),))
    assert "is in inception's features; type --extractor inception too" in refused(reference_of, digits(), plan)
    np.savez(tmp_path / "fid.npz", mu=np.zeros(2048), sigma=np.eye(2048))
    statistics = references.read(str(tmp_path / "fid.npz"))
    network = references.Extractor("inception", "0" * 12, 2048, "", lambda images: images)
    assert references.given_of([statistics], network).mean.shape == (2048,)
    assert "says neither its images nor its network" in caplog.text


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        (dict(mu=np.zeros(3)), "no mu and sigma"),
        (dict(mu=np.zeros(3), sigma=np.eye(4)), "are no moments"),
        (dict(mu=np.zeros(3), sigma=np.full((3, 3), np.nan)), "are no moments"),
        (dict(mu=np.array([None]), sigma=np.eye(1)), "no mu and sigma"),
    ],
)
def test_files_without_statistics_are_one_line(arrays, reason, tmp_path, refused):
    np.savez(tmp_path / "x.npz", **arrays)
    assert reason in refused(references.read, str(tmp_path / "x.npz"))


def test_paths_that_cannot_be_read_or_written_are_one_line(digits, tmp_path, refused):
    assert "there is no such file" in refused(references.read, str(tmp_path / "none.npz"))
    (tmp_path / "text.npz").write_text("text")
    assert "no mu and sigma" in refused(references.read, str(tmp_path / "text.npz"))
    assert "give a name that ends in .npz" in refused(keep_reference, digits(), str(tmp_path / "x.txt"))
    assert "in a folder that is there" in refused(keep_reference, digits(), str(tmp_path / "no" / "x.npz"))
    networks = ("vgg16", "efficientnet_lite0")
    message = refused(keep_reference, digits(), str(tmp_path / "x.npz"), extractors=networks)
    assert "keeps one network's statistics" in message and not (tmp_path / "x.npz").exists()
