"""Evaluating runs as they come: finished, not sampling yet, or making no images at all."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from experiment_jax import UserError, checkpoints, judge, judged, load_config, load_run, run_directory, train
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


def test_witnesses_are_asked_for_accuracies_and_for_nothing_else(finished):
    run = load_run(finished[1])
    alone = run.evaluate(num_samples=90)
    with run.config.unlocked():
        run.config.witnesses = ("configs/resnet_digits.py:smoke",)
    found = run.evaluate(num_samples=90)
    witness = load_run(judge.trained(load_config("configs/resnet_digits.py:smoke")))

    def accuracy(images, labels):
        return np.mean(witness.classify(witness.encode(images)) == labels)

    _, labels = judged.bench(run.config, "test_40", 90)
    assert found.pop("accuracy_real_resnet8") == accuracy(run.test.images, run.test.labels)
    assert found.pop("accuracy_gen_resnet8") == accuracy(run.sample(labels).images, labels)
    recon = run.decode(run.encode(run.test.images))
    assert found.pop("accuracy_recon_resnet8") == accuracy(recon, run.test.labels)
    assert found.pop("witness_resnet8") == checkpoints.digest(witness.model.params)
    clocks = {"seconds": 0, "images_per_second": 0}
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
