"""Judges as files: shipped ones fit their recipes, are bound to the content of their data set, and are found so."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from experiment_jax import load_config, load_run, train
from experiment_jax.config.load import load
from experiment_jax.config.places import shipped
from experiment_jax.data.load import read
from experiment_jax.data.split import Split
from experiment_jax.extractors import judge, judges

SHIPPED = sorted(path.parent for path in shipped("judges").glob("*/card.json"))
DIGITS = "configs/judge_digits.py"


def no_training(*arguments):
    raise AssertionError("a judge is trained")


def data(**changes):
    config = load_config("configs/lsdm_digits.py")
    with config.unlocked():
        config.data.update(changes)
    return config.data


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_shipped_judge_is_of_its_recipe_small_and_whole(folder):
    card = judge.card(folder)
    config = load(card["recipe"])
    assert judge.same_recipe(card, config) and config.data.name == card["data"]["title"]
    assert (folder / judge.WEIGHTS).stat().st_size < 2.5e6
    opened = judge.open_judge(folder)
    images = np.random.default_rng(0).integers(0, 256, (5, *card["data"]["shape"]), dtype=np.uint8)
    features = opened.encode(images)
    assert features.shape == (5, opened.size) and np.isfinite(features).all()
    assert opened.classify(features).max() < len(opened.class_names)


def test_the_data_sets_of_the_tables_have_one():
    assert {"digits", "mnist", "fashion_mnist", "cifar10_jpeg", "faces64"} <= {folder.name for folder in SHIPPED}


def test_the_shipped_judge_of_digits_is_found_and_says_what_its_card_says():
    found = judges.find(DIGITS, data(), no_training)
    test = read(data(), "test")[0]
    accuracy = np.mean(found.classify(found.encode(test.images)) == test.labels)
    assert found.folder.name == "digits" and accuracy == found.card["accuracy_test"] > 0.99
    assert judges.find(DIGITS, data(paired=20, validation=50), no_training) is found  # whatever a run sees of the set


def test_another_content_under_the_same_name_gets_a_judge_of_its_own(monkeypatch, tmp_path, caplog, refused):
    """One pixel, one label, another class's name, or fewer images: each is another set."""
    whole, names = read(data(), "train")
    pixel, label = whole.images.copy(), whole.labels.copy()
    pixel[3, 4, 5, 0] ^= 1
    label[7] = (label[7] + 1) % 10
    others = [(Split(pixel, whole.labels), names), (Split(whole.images, label), names)]
    others += [(whole, (*names[:9], "nine")), (whole.take(np.arange(1000)), names)]
    for train_split, class_names in others:
        monkeypatch.setattr(judge.data, "read", lambda *_, found=(train_split, class_names): found)
        caplog.clear()
        with pytest.raises(AssertionError, match="a judge is trained"):
            judges.find(DIGITS, data(), no_training)
        assert "is not the set that the shipped judge" in caplog.text
        assert "trained on other images than digits has here" in refused(
            judges.find, str(shipped("judges") / "digits"), data(), no_training
        )


def test_a_judge_without_a_shipped_one_is_trained_once_and_can_be_handed_on(tmp_path, one, caplog, refused):
    recipe = f"{DIGITS}:smoke"
    found = judges.find(recipe, data(), train)
    assert judges.find(recipe, data(), no_training) is found
    handed = Path(shutil.copytree(found.folder, tmp_path / "handed"))
    again = judges.find(str(handed), data(), no_training)
    assert again.digest == found.digest
    images = read(data(), "test")[0].images
    np.testing.assert_array_equal(again.encode(images), found.encode(images))
    message = refused(judges.find, str(handed), data(crop=6), no_training)
    assert "judge=" in message and "(shape: [8, 8, 1], not [6, 6, 1])" in message


def test_a_recipe_of_no_set_is_of_the_runs_own_under_its_settings(tmp_path, one, refused):
    recipe = "configs/judge_folder.py:smoke"
    images, labels = vars(read(data(), "train")[0]).values()
    np.savez(tmp_path / "set.npz", images=images[:200], labels=labels[:200])
    own = data(name=str(tmp_path / "set.npz"), size=16, test=0.25)
    found = judges.find(recipe, own, train)
    assert found.card["data"]["shape"] == [16, 16, 1] and found.card["data"]["images"] < 200
    assert judges.find(recipe, own, no_training) is found
    (tmp_path / "set.npz").rename(tmp_path / "renamed.npz")
    own.name = str(tmp_path / "renamed.npz")
    assert judges.find(recipe, own, no_training).digest == found.digest
    config = load_config(recipe, {"data.name": own.name, "data.size": 16, "data.channels": None, "data.test": 0.25})
    train(config, tmp_path / "run", one)
    judges.keep(load_run(tmp_path / "run"), recipe, tmp_path / "judge")
    assert judges.find(str(tmp_path / "judge"), own, no_training).digest == found.digest
    assert "(shape: [16, 16, 1], not [8, 8, 1])" in refused(
        judges.find, str(tmp_path / "judge"), data(name=own.name, test=0.25), no_training
    )
    assert "sees data.test=None, not 0.5" in refused(judges.recipe, DIGITS, data(test=0.5))


def test_a_written_judge_is_the_runs_to_half_precision(tmp_path, one):
    config = load_config(f"{DIGITS}:smoke")
    train(config, tmp_path / "run", one)
    run = load_run(tmp_path / "run")
    judges.keep(run, f"{DIGITS}:smoke", tmp_path / "judge")
    images = read(data(), "test")[0].images
    np.testing.assert_allclose(judge.open_judge(tmp_path / "judge").encode(images), run.encode(images), atol=0.02)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / judge.WEIGHTS).write_bytes(b"x"), "is not the file of its card"),
        (lambda folder: (folder / judge.WEIGHTS).unlink(), "is not the file of its card"),
        (lambda folder: (folder / judge.CARD).write_text("{}"), "is no judge's card"),
        (lambda folder: (folder / judge.CARD).write_text("["), "is no judge's card"),
    ],
)
def test_a_damaged_judge_is_one_line(spoil, reason, tmp_path, refused):
    folder = Path(shutil.copytree(shipped("judges") / "digits", tmp_path / "judge"))
    spoil(folder)
    assert reason in refused(judges.find, str(folder), data(), no_training)


def test_a_judge_of_another_recipe_is_not_kept_under_this_one(tmp_path, one, finished, refused):
    assert "is no judge's run" in refused(judges.keep, load_run(finished[1]), DIGITS, tmp_path / "judge")
    train(load_config(f"{DIGITS}:smoke"), tmp_path / "run", one)
    assert "is not what the run" in refused(judges.keep, load_run(tmp_path / "run"), DIGITS, tmp_path / "judge")
    assert not (tmp_path / "judge").exists()


def test_settings_that_come_later_leave_shipped_judges_what_they_are():
    card, config = judge.card(shipped("judges") / "digits"), load(DIGITS)
    with config.unlocked():
        config.classifier.later = 3
    assert judge.same_recipe(card, config)
    with config.unlocked():
        config.classifier.steps = 801
    assert not judge.same_recipe(card, config)
    assert json.loads(json.dumps(judge.decisive(config)))["stage"]["steps"] == 801
