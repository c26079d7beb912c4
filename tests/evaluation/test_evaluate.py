"""Evaluating runs as they come: finished, not sampling yet, or making no images at all."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiment_jax import UserError, load_config, load_run, metrics, train
from experiment_jax.evaluation import evaluate as evaluation
from experiment_jax.evaluation import judges as judge
from experiment_jax.evaluation import reference as judged
from experiment_jax.evaluation.evaluate import evaluate_images
from experiment_jax.evaluation.files import read_images
from experiment_jax.runs import checkpoints
from experiment_jax.runs import directory as run_directory

SAMPLED = {"fd_gen", "fd_gen_vs_recon", "accuracy_gen", "kid_gen", "spread", "w1_latent", "nfe", "num_samples"}


def test_a_representation_alone_has_its_reconstructions_measured(tiny, one, tmp_path):
    train(tiny(stages=("representation",)), tmp_path / "run", one)
    found = load_run(tmp_path / "run").evaluate()
    assert {"fd_recon", "accuracy_recon", "accuracy_real", "fd_floor", "judge"} <= found.keys()
    assert not SAMPLED & found.keys()
    assert json.loads((tmp_path / "run" / "eval" / "4" / "metrics.json").read_text()) == found


def test_a_run_that_makes_no_images_is_refused_and_left_alone(tree):
    workdir = judge.trained(load_config("configs/judge_digits.py:smoke"))
    before = tree(workdir)
    with pytest.raises(UserError, match="its stages classifier make no images"):
        load_run(workdir).evaluate()
    assert tree(workdir) == before


def test_evaluation_is_a_function_of_run_seed_and_number(finished):
    first, again, other = (load_run(finished[1]).evaluate(num_samples=90, seed=seed) for seed in (1, 1, 2))
    clocks = {"seconds", "images_per_second", "latents_per_second"}
    assert {k: v for k, v in first.items() if k not in clocks} == {k: v for k, v in again.items() if k not in clocks}
    assert first["fd_gen"] != other["fd_gen"]


def test_a_run_has_no_floors_where_there_are_not_as_many_real_images(finished, tmp_path):
    run = load_run(shutil.copytree(finished[1], tmp_path / "run"))
    floors = {"fd_floor", "w1_latent_floor"}
    found = run.evaluate(protocol="train_1347")
    assert not floors & found.keys() and found["num_samples"] == 1347 and found["protocol"] == "train_1347"
    assert {"fd_gen", "w1_latent"} <= found.keys()
    summary = evaluation.summary(run, found)
    assert "Fréchet distance to train" in summary and summary.count("real ") == 1  # its accuracy alone
    assert floors <= run.evaluate(protocol="train_100").keys()


def test_a_sampler_that_tests_has_its_rates_measured_and_a_class_that_it_never_accepts_is_named(finished, caplog):
    run = load_run(finished[1])

    def sample(params, keys, condition):
        return run.model.sample(params, keys, condition)._replace(accepted=condition != 3, tries=1 + condition % 4)

    tested = dataclasses.replace(run, model=dataclasses.replace(run.model, sample=sample, tests=True))
    found = tested.evaluate(num_samples=90)
    by_class = found["acceptance_rate_by_class"]
    assert by_class[3] == 0 and by_class[4] == 1 and by_class[6] == pytest.approx(1 / 3)
    assert found["acceptance_rate"] < found["accepted"] < 1
    [warning] = [record.message for record in caplog.records if "was accepted" in record.message]
    assert warning.startswith("class 3 (3): none of ") and "--config.matching.tries" in warning
    assert not {"accepted", "acceptance_rate"} & run.evaluate(num_samples=90).keys()


def test_witnesses_are_asked_for_accuracies_and_for_nothing_else(finished):
    run = load_run(finished[1])
    alone = run.evaluate(num_samples=90)
    with run.config.unlocked():
        run.config.witnesses = ("configs/resnet_digits.py:smoke",)
    found = run.evaluate(num_samples=90)
    witness = load_run(judge.trained(load_config("configs/resnet_digits.py:smoke")))

    def accuracy(images, labels):
        return np.mean(witness.classify(witness.encode(images)) == labels)

    labels = judged.bench(run.config, "test_40", 90)[1].labels
    assert found.pop("accuracy_real_resnet8") == accuracy(run.test.images, run.test.labels)
    assert found.pop("accuracy_gen_resnet8") == accuracy(run.sample(labels).images, labels)
    recon = run.decode(run.encode(run.test.images))
    assert found.pop("accuracy_recon_resnet8") == accuracy(recon, run.test.labels)
    assert found.pop("witness_resnet8") == checkpoints.digest(witness.model.params)
    clocks = {"seconds": 0, "images_per_second": 0, "latents_per_second": 0}
    assert found | clocks == alone | clocks


@pytest.mark.parametrize(
    ("witnesses", "reason"),
    [
        (("configs/resnet_digits.py:smoke", "configs/resnet_digits.py:cpu"), "two of them are called resnet8"),
        (("configs/resnet_mnist.py",), "witnesses=configs/resnet_mnist.py: judges mnist, not digits"),
        (("configs/resnet_digit.py",), "configs/resnet_digits.py"),
    ],
)
def test_witnesses_that_cannot_be_called_are_refused(tiny, witnesses, reason):
    with pytest.raises(UserError, match=reason) as error:
        judged.bench(tiny(witnesses=witnesses), "test_40", None)
    assert "\n" not in str(error.value)


def test_a_run_from_before_a_setting_came_loads_and_goes_on(finished, tiny, tmp_path):
    workdir = Path(shutil.copytree(finished[1], tmp_path / "run"))
    written = json.loads((workdir / "config.json").read_text())
    later = {
        "witnesses": written.pop("witnesses"),
        "crop": written["data"].pop("crop"),
        "size": written["data"].pop("size"),
    }
    assert not any(later.values())
    (workdir / "config.json").write_text(json.dumps(written))
    assert run_directory.check(workdir, tiny()) == []
    run = load_run(workdir)
    assert run.config.witnesses == () and run.config.data.crop is None and run.config.data.size is None
    assert run_directory.fingerprint(run.config) == run_directory.fingerprint(finished[0])
    # Who is asked afterwards may change; what images are seen may not.
    assert run_directory.check(workdir, tiny(witnesses=("configs/resnet_digits.py",)))
    assert run_directory.fingerprint(tiny(witnesses=("x",))) == run_directory.fingerprint(tiny())
    assert run_directory.fingerprint(tiny(data__size=6)) != run_directory.fingerprint(tiny())
    with pytest.raises(UserError, match=r"data\.size=None, not 6"):
        run_directory.check(workdir, tiny(data__size=6))


def test_anybodys_samples_are_judged_as_a_runs_are(finished, tmp_path):
    config, workdir = finished
    run = load_run(workdir)
    found = run.evaluate(num_samples=90)
    labels = np.resize(np.random.default_rng(0).permutation(run.test.labels), 90)
    np.savez(tmp_path / "samples.npz", images=run.sample(labels).images, labels=labels)
    read = read_images(tmp_path / "samples.npz")
    measured = evaluate_images(config, read.images, read.labels)
    for key in ("fd_gen", "accuracy_gen", "precision", "recall", "fidelity", "kid_gen", "judge", "protocol"):
        assert measured[key] == found[key], key
    assert "fd_recon" not in measured


def test_evidence_adds_its_metrics_and_pictures(finished, tmp_path, monkeypatch):
    workdir = shutil.copytree(finished[1], tmp_path / "run")
    drawn = np.random.default_rng(0).integers(0, 256, (11, 12, 3), dtype=np.uint8)

    def planted(run, bench):
        assert (run.workdir / "eval" / "4" / "metrics.json").is_file()  # whatever evidence refuses, the rest is there
        return {"answer": len(bench.reference)}, {"drawn": drawn}

    monkeypatch.setattr(evaluation, "planted", planted, raising=False)
    run = load_run(workdir)
    found = run.evaluate(num_samples=90, evidence=["experiment_jax.evaluation.evaluate:planted"])
    assert found["answer"] == 450
    assert json.loads((workdir / "eval" / "4" / "metrics.json").read_text()) == found
    with Image.open(workdir / "eval" / "4" / "drawn.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), drawn)
    latents = run.encode(run.test.images)
    assert found["latent_size"] == 3 and "accuracy_classifier" not in found
    assert found["latent_hoyer"] == metrics.hoyer(latents)
    assert found["latent_near_zero"] == metrics.near_zero(latents)


def test_evidence_that_there_is_none_of_is_refused_before_anything_is_measured(finished, tmp_path, script, tree):
    workdir = shutil.copytree(finished[1], tmp_path / "run")
    before = tree(workdir)
    for arguments, message in (
        (["experiment_jax.evaluation.evaluate:nothing"], "experiment_jax.evaluation.evaluate has no nothing"),
        (["os:getcwd"], "name a factory as package.module:function"),
        ([], "--evidence: the run's config names none; type --evidence package.module:name"),
    ):
        status, output, error = script("eval.py", "--workdir", workdir, "--evidence", *arguments)
        assert (status, output) == (2, "") and message in error
    assert tree(workdir) == before


def test_the_evidence_that_a_config_names_is_what_the_flag_asks_for(finished, tmp_path, script, monkeypatch):
    workdir = shutil.copytree(finished[1], tmp_path / "run")
    path = workdir / "config.json"
    config = json.loads(path.read_text())
    config["evaluation"]["evidence"] = ["experiment_jax.evaluation.evaluate:planted"]
    path.write_text(json.dumps(config))
    monkeypatch.setattr(evaluation, "planted", lambda run, bench: ({"answer": 42}, {}), raising=False)
    for flag, expected in (["--evidence"], 42), ([], None):
        status, output, error = script("eval.py", "--workdir", workdir, "--num_samples", 60, *flag)
        assert status == 0, error
        assert json.loads(output.splitlines()[-1]).get("answer") == expected


def test_the_fingerprint_of_a_judge_does_not_see_evidence():
    config = load_config("configs/judge_fashion_mnist.py")
    assert run_directory.fingerprint(config) == "4de47d665e9c"
    with config.unlocked():
        config.evaluation.evidence = ("experiment_jax.evaluation.evaluate:planted",)
    assert run_directory.fingerprint(config) == "4de47d665e9c"
