"""Evaluating runs as they come: finished, not sampling yet, or making no images at all."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from experiment_jax import evaluate, load_config, load_run, train
from experiment_jax.evaluation import evaluate as evaluation
from experiment_jax.evaluation.evaluate import evaluate_images, reference_of
from experiment_jax.evaluation.files import read_images
from experiment_jax.evaluation.plan import Plan
from experiment_jax.evaluation.real_images import real_images
from experiment_jax.evaluation.shown import summary
from experiment_jax.extractors import judges
from experiment_jax.metrics import latents as latent_metrics
from experiment_jax.runs import directory

SAMPLED = {"fd_gen", "fd_gen_vs_recon", "accuracy_gen", "kid_gen", "spread", "w1_latent", "nfe", "num_samples"}
CLOCKS = {"seconds", "images_per_second", "latents_per_second"}
PLANTED = "experiment_jax.evaluation.evaluate:planted"


def timeless(metrics):
    return {key: value for key, value in metrics.items() if key not in CLOCKS}


def test_a_representation_alone_has_its_reconstructions_measured(tiny, one, tmp_path):
    train(tiny(stages=("representation",)), tmp_path / "run", one)
    found = evaluate(load_run(tmp_path / "run"))
    assert {"fd_recon", "accuracy_recon", "accuracy_real", "fd_floor", "judge"} <= found.keys()
    assert not SAMPLED & found.keys()
    assert json.loads((tmp_path / "run" / "eval" / "4" / "metrics.json").read_text()) == found


def test_a_run_that_makes_no_images_is_refused_and_left_alone(one, tmp_path, tree, refused):
    train(load_config("configs/judge_digits.py:smoke"), tmp_path / "run", one)
    before = tree(tmp_path)
    assert "its stages classifier make no images" in refused(evaluate, load_run(tmp_path / "run"))
    assert tree(tmp_path) == before


def test_evaluation_is_a_function_of_run_seed_and_number(evaluated, copied):
    run = load_run(copied)
    assert timeless(evaluate(run, num_samples=90)) == timeless(evaluated[1])
    assert evaluate(run, num_samples=90, seed=2)["fd_gen"] != evaluated[1]["fd_gen"]


def test_a_run_has_no_floors_where_there_are_not_as_many_real_images(copied):
    run = load_run(copied)
    floors = {"fd_floor", "w1_latent_floor"}
    found = evaluate(run, protocol="train_470")  # the test images are 450
    assert not floors & found.keys() and found["num_samples"] == 470 and found["protocol"] == "train_470"
    assert {"fd_gen", "w1_latent"} <= found.keys()
    text = summary(run, found)
    assert "Fréchet distance to train" in text and text.count("real ") == 1  # its accuracy alone
    assert floors <= evaluate(run, protocol="train_100").keys()


def test_a_sampler_that_tests_has_its_rates_measured_and_a_class_that_it_never_accepts_is_named(
    evaluated, copied, caplog
):
    run = load_run(copied)

    def sample(params, keys, condition):
        return run.model.sample(params, keys, condition)._replace(accepted=condition != 3, tries=1 + condition % 4)

    tested = dataclasses.replace(run, model=dataclasses.replace(run.model, sample=sample, tests=True))
    with tested.config.unlocked():
        tested.config.matching.tries = 4  # the setting that a stage with tests has
    found = evaluate(tested, num_samples=90)
    by_class = found["acceptance_rate_by_class"]
    assert by_class[3] == 0 and by_class[4] == 1 and by_class[6] == pytest.approx(1 / 3)
    assert found["acceptance_rate"] < found["accepted"] < 1
    [warning] = [record.message for record in caplog.records if "was accepted" in record.message]
    assert warning.startswith("class 3 (3): none of ") and "--config.matching.tries" in warning
    assert not {"accepted", "acceptance_rate"} & evaluated[1].keys()


WITNESS = """
import runpy
from experiment_jax.config.load import override

def get_config():
    config = runpy.run_path({shipped!r})["get_config"]()
    override(config, {{"classifier.steps": 2, "classifier.batch_size": 20, "classifier.widths": (4,)}})
    return config
"""


def test_witnesses_are_asked_for_accuracies_and_for_nothing_else(evaluated, copied, tmp_path, request):
    shipped = request.config.rootpath / "configs" / "judge_digits.py"
    (path := tmp_path / "witness.py").write_text(WITNESS.format(shipped=str(shipped)))
    run = load_run(copied)
    with run.config.unlocked():
        run.config.witnesses = (str(path),)
    found = evaluate(run, num_samples=90)
    witness = judges.find(str(path), run.config.data, train)

    def accuracy(images, labels):
        return np.mean(witness.classify(witness.encode(images)) == labels)

    labels = real_images(run.config, "test", 90)[1].labels
    assert found.pop("accuracy_real_convolutional") == accuracy(run.test.images, run.test.labels)
    assert found.pop("accuracy_gen_convolutional") == accuracy(run.sample(labels).images, labels)
    recon = run.decode(run.encode(run.test.images))
    assert found.pop("accuracy_recon_convolutional") == accuracy(recon, run.test.labels)
    assert found.pop("witness_convolutional") == witness.digest != found["judge"]
    assert timeless(found) == timeless(evaluated[1])


@pytest.mark.parametrize(
    ("witnesses", "reason"),
    [
        (("configs/resnet_digits.py:smoke", "configs/resnet_digits.py:cpu"), "two of them are called resnet8"),
        (("configs/resnet_mnist.py",), "witnesses=configs/resnet_mnist.py: judges mnist, not digits"),
        (("configs/resnet_digit.py",), "there is no file configs/resnet_digit.py; give one, or one of"),
    ],
)
def test_witnesses_that_cannot_be_called_are_refused(tiny, witnesses, reason, refused):
    assert reason in refused(reference_of, tiny(witnesses=witnesses), Plan())


def test_who_is_asked_afterwards_may_change_and_what_images_are_seen_may_not(finished, tiny, refused):
    config, workdir = finished
    assert directory.check(workdir, tiny()) == []
    [change] = directory.check(workdir, tiny(witnesses=("configs/resnet_digits.py",)))
    assert change.startswith("witnesses: ")
    assert directory.fingerprint(load_run(workdir).config) == directory.fingerprint(config)
    assert directory.fingerprint(tiny(witnesses=("x",))) == directory.fingerprint(tiny())
    assert directory.fingerprint(tiny(data__size=6)) != directory.fingerprint(tiny())
    assert "data.size=None, not 6" in refused(directory.check, workdir, tiny(data__size=6))


def test_anybodys_samples_are_judged_as_a_runs_are(evaluated, tmp_path):
    run, found = evaluated
    labels = np.resize(np.random.default_rng(0).permutation(run.test.labels), 90)
    np.savez(tmp_path / "samples.npz", images=run.sample(labels).images, labels=labels)
    read = read_images(tmp_path / "samples.npz", run.config.data)
    measured = evaluate_images(run.config, read.images, read.labels)
    for key in ("fd_gen", "accuracy_gen", "precision", "recall", "fidelity", "kid_gen", "judge", "protocol"):
        assert measured[key] == found[key], key
    assert "fd_recon" not in measured


def test_figures_add_their_metrics_and_pictures(evaluated, copied, monkeypatch):
    (written := copied / "eval" / "4" / "metrics.json").unlink()
    drawn = np.random.default_rng(0).integers(0, 256, (11, 12, 3), dtype=np.uint8)

    def planted(run, reference):
        assert written.is_file()  # whatever a figure refuses, the rest is there
        return {"answer": len(reference.compared)}, {"drawn": drawn}

    monkeypatch.setattr(evaluation, "planted", planted, raising=False)
    run = load_run(copied)
    found = evaluate(run, num_samples=90, figures=[PLANTED])
    assert found["answer"] == 450
    assert json.loads(written.read_text()) == found
    with Image.open(copied / "eval" / "4" / "drawn.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), drawn)
    latents = run.encode(run.test.images)
    assert found["latent_size"] == 3 and "accuracy_classifier" not in found
    assert found["latent_hoyer"] == latent_metrics.hoyer(latents)
    assert found["latent_near_zero"] == latent_metrics.near_zero(latents)


def test_figures_that_there_are_none_of_are_refused_before_anything_is_measured(copied, script, tree):
    before = tree(copied)
    for arguments, message in (
        (["experiment_jax.evaluation.evaluate:nothing"], "experiment_jax.evaluation.evaluate has no nothing"),
        (["os:getcwd"], "--figures=os:getcwd: give package.module:function"),
        ([], "--figures: the run's config names none; type --figures package.module:name"),
    ):
        status, output, error = script("eval.py", "--workdir", copied, "--figures", *arguments)
        assert (status, output) == (2, "") and message in error
    assert tree(copied) == before


def test_the_figures_that_a_config_names_are_what_the_flag_asks_for(copied, script, monkeypatch):
    path = copied / "config.json"
    config = json.loads(path.read_text())
    config["evaluation"]["figures"] = [PLANTED]
    path.write_text(json.dumps(config))
    monkeypatch.setattr(evaluation, "planted", lambda run, reference: ({"answer": 42}, {}), raising=False)
    for flag, expected in ([], None), (["--figures"], 42):  # the other way round it would stay among the metrics
        status, output, error = script("eval.py", "--workdir", copied, "--num_samples", 70, *flag)
        assert status == 0, error
        assert json.loads(output.splitlines()[-1]).get("answer") == expected
