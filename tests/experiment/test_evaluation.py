"""Evaluating runs as they come: finished, not sampling yet, or making no images at all."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from experiment_jax import UserError, evaluation, judge, load_config, load_run, metrics, run_directory, train
from experiment_jax.evaluation import evaluate_images, read_images

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
    clocks = {"seconds", "images_per_second"}
    assert {k: v for k, v in first.items() if k not in clocks} == {k: v for k, v in again.items() if k not in clocks}
    assert first["fd_gen"] != other["fd_gen"]


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


def test_anybodys_samples_are_judged_as_a_runs_are(finished, tmp_path):
    config, workdir = finished
    run = load_run(workdir)
    found = run.evaluate(num_samples=90)
    labels = np.resize(np.random.default_rng(0).permutation(run.test.labels), 90)
    np.savez(tmp_path / "samples.npz", images=run.sample(labels).images, labels=labels)
    read = read_images(tmp_path / "samples.npz")
    judged = evaluate_images(config, read.images, read.labels)
    for key in ("fd_gen", "accuracy_gen", "precision", "recall", "fidelity", "kid_gen", "judge", "protocol"):
        assert judged[key] == found[key], key
    assert "fd_recon" not in judged


def test_evidence_adds_its_metrics_and_pictures(finished, tmp_path, monkeypatch):
    workdir = shutil.copytree(finished[1], tmp_path / "run")
    drawn = np.random.default_rng(0).integers(0, 256, (11, 12, 3), dtype=np.uint8)

    def planted(run, bench):
        assert (run.workdir / "eval" / "4" / "metrics.json").is_file()  # whatever evidence refuses, the rest is there
        return {"answer": len(bench.reference)}, {"drawn": drawn}

    monkeypatch.setattr(evaluation, "planted", planted, raising=False)
    run = load_run(workdir)
    found = run.evaluate(num_samples=90, evidence=["experiment_jax.evaluation:planted"])
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
        (["experiment_jax.evaluation:nothing"], "experiment_jax.evaluation has no nothing"),
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
    config["evaluation"]["evidence"] = ["experiment_jax.evaluation:planted"]
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
        config.evaluation.evidence = ("experiment_jax.evaluation:planted",)
    assert run_directory.fingerprint(config) == "4de47d665e9c"
