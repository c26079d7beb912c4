"""The real images of a protocol, and where the other split stands for samples."""

import numpy as np
import pytest

from experiment_jax.data import load
from experiment_jax.evaluation.real_images import real_images
from experiment_jax.evaluation.reference import Reference


def test_samples_are_asked_for_with_the_shares_of_the_images_that_are_compared_with(digits):
    real, chosen = real_images(digits(), "test", 450)
    assert len(chosen) == 450
    np.testing.assert_array_equal(np.bincount(chosen.labels), np.full(10, 45))
    np.testing.assert_array_equal(np.bincount(real.other.labels), np.full(10, 45))
    assert real.compared is real.test


def test_the_train_protocol_turns_the_splits_round(digits):
    real, chosen = real_images(digits(), "train", 100)
    assert real.compared is real.train
    assert len(chosen) == 100
    rows = {image.tobytes() for image in real.test.images}
    assert all(image.tobytes() in rows for image in real.other.images)


@pytest.mark.parametrize(("split", "count"), [("train", 1347), ("test", 1400), ("train", 1000)])
def test_where_the_other_split_cannot_match_the_samples_there_is_no_floor(split, count, digits, reference, caplog):
    def has_floor(real):
        return "fd_floor" in Reference(reference.judge, real).measure_real()

    real, chosen = real_images(digits(), split, count)
    assert not has_floor(real)
    [line] = [record.message for record in caplog.records if "no floor" in record.message]
    enough = int(line.partition("up to ")[2].split()[0])
    assert f"for {len(chosen)} samples" in line and 0 < enough < len(chosen)
    # Just that many have one, and one more has none.
    for number, matched in ((enough, True), (enough + 1, False)):
        real, chosen = real_images(digits(), split, number)
        counts = [np.bincount(labels, minlength=10) for labels in (real.other.labels, chosen.labels)]
        assert np.array_equal(*counts) == matched == has_floor(real)


def test_the_validation_protocol_holds_what_the_run_held_out_against_what_it_trained_on(digits, refused):
    real, chosen = real_images(digits(data__validation=50, data__paired=20), "validation", 200)
    parts = load.load(digits(data__validation=50).data, 0)
    np.testing.assert_array_equal(real.compared.images, parts.validation.images)
    np.testing.assert_array_equal(real.train.labels, parts.train.labels)  # no label is hidden from an evaluation
    np.testing.assert_array_equal(np.bincount(chosen.labels), np.full(10, 20))
    assert "data.validation=1000" in refused(real_images, digits(data__validation=0), "validation", 200)
