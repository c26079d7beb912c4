"""The kinds of perceptual features: which model functions they provide, and which are trained."""

import json

from experiment_jax import load_config, load_run, train
from experiment_jax.networks.pretrained import weights
from experiment_jax.runs.finished import load_finished
from regene_jax import sections

SMOKE = {"classifier.widths": (4, 4), "decoder.widths": (4,), "perceptual.widths": (4,), "data.validation": 20}


def regene(**changes):
    own = {key.replace("__", "."): value for key, value in changes.items()}
    return load_config("configs/regene_digits.py", {**sections.SMOKE, **SMOKE, **own})


def test_regene_compares_in_its_classifier_or_in_features_of_rotations(one, tmp_path):
    """The classifier's features freeze nothing and are not trained, though the section has a length for rotations."""
    for kind, steps in (("classifier", 0), ("rotations", 3)):
        config = regene(perceptual__kind=kind, perceptual__steps=3, stages=("classifier", "perceptual", "decoder"))
        train(config, tmp_path / kind, one)
        frozen, record = load_finished(tmp_path / kind, "perceptual", dict)
        assert (record["trained_steps"], bool(frozen)) == (steps, kind == "rotations")
        rows = [json.loads(line) for line in (tmp_path / kind / "metrics.jsonl").read_text().splitlines()]
        assert max([row["step"] for row in rows if row["stage"] == "perceptual"], default=0) == steps
        owner = load_run(tmp_path / kind).model.features.__self__.context.name
        assert owner == ("classifier" if kind == "classifier" else "perceptual")


def test_features_of_a_classifier_need_one_before(tiny, one, tmp_path, refused):
    plain = {"data.name": "digits", "data.validation": 0, "stages": ("perceptual", "representation", "matching")}
    config = load_config("configs/lsdm_fashion_mnist.py", {**plain, "perceptual.kind": "classifier"})
    message = refused(train, config, tmp_path / "run", one)
    assert message.endswith("no stage before perceptual provides features; type --config.perceptual.kind=rotations")
    config = load_config("configs/lsdm_fashion_mnist.py", {**plain, "perceptual.kind": "edges"})
    message = refused(train, config, tmp_path, one)
    assert "perceptual.kind=edges: choose one of rotations, contrast, vgg16, classifier" in message


def test_regene_compares_in_vgg16_of_the_installed_package(one, tmp_path, installed):
    """Of images of 8×8 pixels, and a finished run needs the package no more."""
    installed(weights.VGG16)
    config = regene(perceptual__kind="vgg16", stages=("classifier", "perceptual", "decoder"), decoder__log_steps=1)
    train(config, tmp_path / "run", one)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["perceptual"] > 0 for row in rows if row["stage"] == "decoder" and "perceptual" in row]
    frozen, record = load_finished(tmp_path / "run", "perceptual", dict)
    assert record["trained_steps"] == 0 and frozen["weights"]["kernel_21"].shape == (3, 3, 512, 512)
