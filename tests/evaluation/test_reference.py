"""What a judge says: protocols, directions, and independence of how the images are batched."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from experiment_jax import UserError, load_config, load_run, metrics
from experiment_jax.data import split as data
from experiment_jax.evaluation import classification_score as cas
from experiment_jax.evaluation import reference as judged
from experiment_jax.runs.run import Run


def config(**changes):
    settings = {"judge": "configs/judge_digits.py:smoke", **{k.replace("__", "."): v for k, v in changes.items()}}
    return load_config("configs/lsdm_digits.py", settings)


def measure(bench, images, labels):
    return judged.measure_samples(bench, images, bench.features(images), labels)


@pytest.fixture(scope="module")
def bench():
    return judged.bench(config(), "test_450", None)


@pytest.mark.parametrize(
    ("name", "parsed"), [("test_10k", ("test", 10_000)), ("train_50k", ("train", 50_000)), ("test_450", ("test", 450))]
)
def test_protocols_have_names(name, parsed):
    assert judged.parse_protocol(name) == parsed
    assert judged.protocol_name(*parsed) == name


@pytest.mark.parametrize("name", ["test", "10k", "held_10k", "test_0", "test_k", "test_-5", "test_1.5k"])
def test_an_unknown_protocol_names_those_that_there_are(name):
    with pytest.raises(UserError, match="test_10k, train_50k or validation_1k"):
        judged.parse_protocol(name)


def test_samples_are_asked_for_with_the_shares_of_the_reference(bench):
    bench, chosen = bench
    assert len(chosen) == 450
    np.testing.assert_array_equal(np.bincount(chosen.labels), np.full(10, 45))
    np.testing.assert_array_equal(np.bincount(bench.other.labels), np.full(10, 45))
    assert bench.reference is bench.test


def test_the_train_protocol_turns_the_splits_round():
    bench, chosen = judged.bench(config(), "train_100", None)
    assert bench.reference is bench.train
    assert len(chosen) == 100
    rows = {image.tobytes() for image in bench.test.images}
    assert all(image.tobytes() in rows for image in bench.other.images)


@pytest.mark.parametrize(("protocol", "count"), [("train_1347", None), ("test_450", 1400), ("train_100", 1000)])
def test_where_the_other_split_cannot_match_the_samples_there_is_no_floor(protocol, count, caplog):
    bench, chosen = judged.bench(config(), protocol, count)
    assert "fd_floor" not in judged.measure_real(bench)
    [line] = [record.message for record in caplog.records if "no floor" in record.message]
    enough = int(line.partition("up to ")[2].split()[0])
    assert f"for {len(chosen)} samples" in line and 0 < enough < len(chosen)
    # Just that many have one, and one more has none.
    for number, matched in ((enough, True), (enough + 1, False)):
        bench, chosen = judged.bench(config(), protocol, number)
        counts = [np.bincount(labels, minlength=10) for labels in (bench.other.labels, chosen.labels)]
        assert np.array_equal(*counts) == matched == ("fd_floor" in judged.measure_real(bench))


def test_precision_and_recall_are_of_equally_many_points_on_both_sides():
    bench, chosen = judged.bench(config(), "test_450", 900)
    images = bench.test.take(np.resize(np.arange(450), 900)).images  # each twice: every other one is all of them
    twice = measure(bench, images, None)
    order = np.linspace(0, 899, 450).astype(int)
    once = measure(bench, images[order], None)
    assert (twice["precision"], twice["recall"]) == (once["precision"], once["recall"])
    real = bench.features(bench.test.images)
    assert (twice["precision"], twice["recall"]) == metrics.precision_recall(real, real[order % 450])
    assert twice["num_samples"] == 900 and len(chosen) == 900


def test_the_validation_protocol_holds_what_the_run_held_out_against_what_it_trained_on():
    bench, chosen = judged.bench(config(data__validation=50, data__paired=20), "validation_200", None)
    parts = data.load(config(data__validation=50).data, 0)
    np.testing.assert_array_equal(bench.reference.images, parts.validation.images)
    np.testing.assert_array_equal(bench.train.labels, parts.train.labels)  # no label is hidden from the bench
    np.testing.assert_array_equal(np.bincount(chosen.labels), np.full(10, 20))
    with pytest.raises(UserError, match=r"data\.validation=1000"):
        judged.bench(config(data__validation=0), "validation_200", None)


def test_real_images_reach_their_own_floor(bench):
    bench, _ = bench
    found = judged.measure_real(bench) | measure(bench, bench.other.images, bench.other.labels)
    assert found["fd_gen"] == found["fd_floor"]
    assert found["protocol"] == "test_450"
    assert found["nearest_train_ratio"] == 0.0  # they are training images
    assert found["copied"] == 1.0
    assert found["fidelity"] == 1.0


def test_the_test_images_themselves_are_at_distance_zero(bench):
    bench, _ = bench
    found = judged.measure_real(bench) | measure(bench, bench.test.images, bench.test.labels)
    assert found["fd_gen"] < 1e-3
    assert found["accuracy_gen"] == found["accuracy_real"]
    assert (found["precision"], found["recall"]) == (1.0, 1.0)
    recon = judged.measure_reconstructions(bench, bench.test.images, bench.features(bench.test.images))
    assert recon["fd_recon"] < 1e-3
    assert recon["fd_gen_vs_recon"] < 1e-3
    assert "fd_gen_vs_recon" not in judged.measure_reconstructions(bench, bench.test.images, None)


def test_noise_moves_every_distance_up_and_one_class_alone_loses_recall(bench):
    bench, _ = bench
    generator = np.random.default_rng(0)
    distances = []
    for strength in (0, 40, 80, 160):
        noise = generator.integers(-strength, strength + 1, bench.test.images.shape)
        images = np.clip(bench.test.images.astype(int) + noise, 0, 255).astype(np.uint8)
        distances.append(measure(bench, images, None)["fd_gen"])
    assert distances == sorted(distances)
    zeros = bench.train.images[bench.train.labels == 0]
    found = measure(bench, zeros, np.zeros(len(zeros), np.int32))
    assert found["precision"] > 2 * found["recall"]


def test_unknown_labels_leave_the_accuracy_out(bench):
    bench, _ = bench
    assert "accuracy_gen" not in measure(bench, bench.other.images, None)


def test_too_few_samples_for_the_features_are_flagged_with_the_number_that_suffices(bench, caplog):
    bench, _ = bench
    found = measure(bench, bench.other.images[:50], None)
    assert found["fd_rank_deficient"] is True
    assert "at least --num_samples 65" in caplog.text
    assert "fd_rank_deficient" not in measure(bench, bench.other.images[:65], None)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((20, 9, 8, 1), np.uint8), r"\(9, 8, 1\).*\(8, 8, 1\)"),
        (np.zeros((3, 8, 8, 1), np.uint8), "3 points, at least 4"),
        (np.zeros((20, 8, 8, 1), np.uint8), "all 20 points are the same"),
    ],
)
def test_images_that_cannot_be_measured_are_refused(bench, images, message):
    with pytest.raises(UserError, match=message):
        measure(bench[0], images, None)


def test_the_batch_size_of_evaluation_does_not_show(bench, tmp_path):
    bench, _ = bench
    whole = measure(bench, bench.other.images, bench.other.labels)
    config = bench.judge.config.copy_and_resolve_references()
    with config.unlocked():
        config.evaluation.batch_size = 37
    judge = Run(bench.judge.workdir, config, bench.judge.model, bench.judge.step, bench.judge.dataset)
    parts = measure(dataclasses.replace(bench, judge=judge), bench.other.images, bench.other.labels)
    for key, value in whole.items():
        assert parts[key] == (pytest.approx(value, rel=1e-4, abs=1e-4) if isinstance(value, float) else value), key


def test_the_judge_is_trained_once_and_found_again(bench):
    again, _ = judged.bench(config(), "test_450", None)
    assert again.judge.workdir == bench[0].judge.workdir
    assert load_run(again.judge.workdir).step == 2


def test_a_judge_of_another_data_set_is_refused():
    with pytest.raises(UserError, match="judges digits, not fashion_mnist"):
        judged.bench(config(data__name="fashion_mnist"), "test_10k", None)


def test_the_classifier_of_samples_is_trained_by_the_recipe_of_the_judge_s_file_whatever_its_variant(bench, tmp_path):
    recipe = Path("configs/judge_digits.py").resolve()
    (tmp_path / "judge.py").write_text(
        f"import runpy\nget_config = runpy.run_path({str(recipe)!r})['get_config']\n"
        "VARIANTS = {'smoke': {}, 'cas': {'classifier.steps': 1, 'classifier.batch_size': 20}}\n"
    )
    test = bench[0].test
    score = cas.classification_accuracy_score(bench[0], f"{tmp_path}/judge.py:smoke", test.images, test.labels)
    assert 0 <= score < 1


def test_a_classifier_trained_on_real_images_recognises_real_images(bench):
    bench, _ = bench
    train = data.read(config().data, "train")[0]
    assert cas.classification_accuracy_score(bench, "configs/judge_digits.py", train.images, train.labels) > 0.95
