"""Sets some of whose images have no label, and a class without test images."""

import runpy

import numpy as np
import pytest

from experiment_jax import evaluate, load_config, load_run, train
from experiment_jax.data import load
from experiment_jax.data.split import view
from experiment_jax.evaluation.evaluate import evaluate_images
from experiment_jax.evaluation.files import save_samples
from experiment_jax.extractors import judges

JUDGE = """
import runpy
from experiment_jax.config.load import override

def get_config():
    config = runpy.run_path({shipped!r})["get_config"]()
    override(config, {{"data.name": {name!r}, "classifier.steps": 3, "classifier.batch_size": 20,
                       "classifier.features": 8, "classifier.widths": (4,)}})
    return config
"""


@pytest.fixture(scope="module")
def partly(request, tmp_path_factory):
    """The overrides of a set of 200 training and 80 test digits, every fourth without a label, and no test image of a
    nine; and of a judge of it."""
    root = request.config.rootpath
    write = runpy.run_path(str(root / "tests" / "data" / "write_tiny_digits.py"))["write"]
    images, labels = vars(load.read(load_config("configs/lsdm_digits.py").data, "train")[0]).values()
    rows = [(images[i, ..., 0], -1 if i % 4 == 3 else int(labels[i])) for i in range(310)]
    test = [(image, label) for image, label in rows[200:] if label != 9][:80]
    folder = tmp_path_factory.mktemp("partly")
    write(folder / "partly" / "1.0.0", {"train": rows[:200], "test": test}, tuple("0123456789"))
    name, judge = str(folder / "partly" / "1.0.0"), folder / "judge.py"
    judge.write_text(JUDGE.format(shipped=str(root / "configs" / "judge_digits.py"), name=name))
    return {"data.name": name, "judge": str(judge), "data.validation": 0}


@pytest.fixture(scope="module")
def run(partly, tiny, one, tmp_path_factory):
    """A finished tiny run on that set."""
    workdir = tmp_path_factory.mktemp("run") / "run"
    train(tiny(**{key.replace(".", "__"): value for key, value in partly.items()}), workdir, one)
    return load_run(workdir)


def test_images_without_a_label_are_unpaired_from_the_start(partly, tiny):
    section = tiny(**{key.replace(".", "__"): value for key, value in partly.items()}).data
    whole = load.load(section, 0)
    assert len(view(whole, "all")) == 200 and len(view(whole, "paired")) == 150
    with section.unlocked():
        section.paired, section.validation = 20, 10
    few = load.load(section, 0)
    np.testing.assert_array_equal(np.bincount(few.validation.labels), [1] * 10)
    np.testing.assert_array_equal(np.bincount(view(few, "paired").labels), [2] * 10)
    assert (few.train.labels == -1).sum() == 190 - 20


def test_test_images_without_a_label_and_a_class_without_any_cost_their_own_metrics_alone(run, caplog):
    found = evaluate(run, num_samples=70)
    labels = run.test.labels
    known = labels >= 0
    assert 0 < known.sum() < len(labels) == 80 and not (labels == 9).any()
    judge = judges.find(run.config.judge, run.config.data, train)
    verdicts = judge.classify(judge.encode(run.test.images))
    assert found["accuracy_real"] == np.mean(verdicts[known] == labels[known])
    assert {"fd_gen", "fd_recon", "w1_latent", "spread", "accuracy_gen", "w1_latent_sliced"} <= found.keys()
    lines = [record.message for record in caplog.records if "is a mean over 9 of 10 classes" in record.message]
    assert len(lines) == 2 and all("9 (0 images, 0 samples)" in line for line in lines)
    assert all(value is not None for value in found.values())
    with np.load(save_samples(run, 30)) as saved:
        assert set(saved["labels"]) <= set(range(9))


def test_train_images_without_a_label_are_no_condition(run):
    assert evaluate(run, protocol="train_70")["protocol"] == "train_70"


def test_images_of_anybody_are_compared_with_such_a_set(run):
    images = load.read(run.config.data, "train")[0].images[:70]
    found = evaluate_images(run.config, images, np.full(70, -1))
    assert "fd_gen" in found and "accuracy_gen" not in found


@pytest.mark.parametrize(
    ("images", "labels", "reason"),
    [
        (np.zeros((70, 8, 8, 1)), None, "images are float64 [70, 8, 8, 1]; give uint8"),
        (np.zeros((70, 8, 8), np.uint8), None, "images are uint8 [70, 8, 8]; give uint8 [N, height"),
        (np.zeros((0, 8, 8, 1), np.uint8), None, "num_samples=0"),
        (np.zeros((70, 8, 8, 1), np.uint8), np.full(70, 10), "labels: labels are from -1 to 9, not 10…10"),
        (np.zeros((70, 8, 8, 1), np.uint8), np.zeros(69, int), "labels are 69 for 70 images"),
    ],
)
def test_samples_that_are_none_are_refused(images, labels, reason, digits, refused):
    assert reason in refused(evaluate_images, digits(), images, labels)
