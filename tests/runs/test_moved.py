"""Runs whose data set was moved: together with the run, away from it, or made into another."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from experiment_jax import load_config, load_run, train
from experiment_jax.data import load
from experiment_jax.data.folders import SPLITS
from experiment_jax.runs import directory

TINY = Path(__file__).parents[1] / "data" / "tiny_digits" / "1.0.0"


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny, one):
    """A folder with a data set, an .npz, and a run on it."""
    folder = tmp_path_factory.mktemp("project") / "project"
    whole = load.read(load_config("lsdm_digits").data, SPLITS[0])[0]
    (folder / "data").mkdir(parents=True)
    np.savez(folder / "data" / "set.npz", images=whole.images[:300], labels=whole.labels[:300])
    config = tiny(data__name=str(folder / "data" / "set.npz"), data__test=0.2, data__validation=0)
    train(config, folder / "runs" / "one", one)
    return folder


@pytest.fixture
def moved(project, tmp_path):
    """A copy of that folder, of which the test may move parts; the paths in the run are still those of the first."""
    return Path(shutil.copytree(project, tmp_path / "elsewhere"))


def test_a_run_holds_its_data_by_a_relative_path_and_finds_it_where_both_are_moved(project, moved):
    content = json.loads((project / "runs" / "one" / "config.json").read_text())
    assert content["data"]["name"] == "../../data/set.npz"
    assert load_run(project / "runs" / "one").config.data.name == str(project / "data" / "set.npz")
    run = load_run(moved / "runs" / "one")
    assert run.config.data.name == str(moved / "data" / "set.npz") and len(run.test) > 1


def test_a_run_that_is_moved_alone_finds_its_data_where_it_was(project, moved, tmp_path):
    shutil.move(moved / "runs" / "one", tmp_path / "a" / "b" / "c" / "d")
    assert load_run(tmp_path / "a" / "b" / "c" / "d").config.data.name == str(project / "data" / "set.npz")


def test_it_goes_on_where_both_were_moved(moved, tiny, one):
    config = tiny(data__name=str(moved / "data" / "set.npz"), data__test=0.2, data__validation=0, matching__steps=6)
    assert directory.check(moved / "runs" / "one", config) == ["matching.steps: 4 -> 6"]
    train(config, moved / "runs" / "one", one)
    assert load_run(moved / "runs" / "one").step == 6


def gone(project, moved):
    """Takes the run's data away, from where it was and from where it is; returns where it lies now."""
    path = moved / "runs" / "one" / "config.json"
    path.write_text(path.read_text().replace(str(project), str(moved)))
    return shutil.move(moved / "data" / "set.npz", moved / "renamed.npz")


def test_data_that_was_moved_is_named(project, moved, refused, script):
    now = gone(project, moved)
    workdir = moved / "runs" / "one"
    message = refused(load_run, workdir)
    assert message.endswith(f"its data set {moved / 'data' / 'set.npz'} is not there any more; type --data PATH")
    run = load_run(workdir, data=now)
    whole = load_run(project / "runs" / "one")
    np.testing.assert_array_equal(run.sample([1, 2]).images, whole.sample([1, 2]).images)
    np.testing.assert_array_equal(run.test.images, whole.test.images)
    status, _, error = script("eval.py", "--workdir", workdir, "--data", moved / "nowhere")
    assert status == 2 and "there is no such folder or file" in error.splitlines()[-1]
    assert "is on another file system" in refused(load_run, workdir, data="gs://bucket/set")


def test_a_set_in_a_folder_with_a_plus_is_there(tmp_path, tiny):
    shutil.copytree(TINY, tmp_path / "a+b" / "1.0.0")
    config = tiny(data__name=str(tmp_path / "a+b" / "1.0.0"), data__validation=0)
    assert directory.with_data(tmp_path, config, None) is config


def test_another_data_set_is_refused(project, moved, refused):
    now = gone(project, moved)
    with np.load(now) as arrays:
        images, labels = arrays["images"].copy(), arrays["labels"]
    images[images.shape[0] // 2, 3, 3] ^= 4
    np.savez(now, images=images, labels=labels)
    message = refused(load_run, moved / "runs" / "one", data=now)
    assert message == f"--data {now}: holds other images or labels than the run was trained on; give that set"


def test_what_shares_only_the_root_and_what_is_a_name_stay_as_they_are(tmp_path, tiny, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(TINY, tmp_path / "a+b" / "1.0.0")
    (tmp_path / "mine.py").write_text("")
    config = tiny(data__name="a+b/1.0.0", judge="mine.py:smoke", data__validation=0)
    with config.unlocked():
        config.witnesses = ("/nowhere/at/all.py", "configs/resnet_digits.py:cpu")
    directory.write_config(tmp_path / "run", config)
    content = json.loads((tmp_path / "run" / "config.json").read_text())
    assert content["data"]["name"] == "../a+b/1.0.0" and content["judge"] == "../mine.py:smoke"
    assert content["witnesses"] == ["/nowhere/at/all.py", "configs/resnet_digits.py:cpu"]
    assert directory.read_config(tmp_path / "run").to_dict() == config.to_dict()
    joined = tiny(data__name=f"digits+{tmp_path}/a+b/1.0.0".replace("a+b", "ab"), data__validation=0)
    directory.write_config(tmp_path / "run", joined)
    assert directory.read_config(tmp_path / "run").data.name == joined.data.name
    assert '"name": "digits+../ab/1.0.0"' in (tmp_path / "run" / "config.json").read_text()
