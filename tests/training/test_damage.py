"""Checkpoints that were damaged: the newest whole one is restored, and no wrong one ever."""

import runpy
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from experiment_jax import Stopped
from experiment_jax.runs import saved
from experiment_jax.training.logger import read_metrics

DAMAGES = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "soaking" / "damages.py"))["ALL"]


@pytest.fixture(scope="module")
def whole(problem, fit, tmp_path_factory):
    """(state, step, directory) of a training to the end, at step 12, with checkpoints at 8 and 12."""
    workdir = tmp_path_factory.mktemp("whole")
    return *fit(problem(), workdir), workdir


@pytest.fixture(scope="module")
def other(problem, fit, tmp_path_factory):
    """The checkpoint of step 12 of a run with another learning rate."""
    workdir = tmp_path_factory.mktemp("other")
    settings = dict(optimiser=dict(name="sgd", learning_rate=0.1, clip=0.0, warmup_steps=0))
    fit(problem(**settings), workdir, settings={"seed": 1})
    return workdir / "checkpoints" / "linear" / "12"


@pytest.fixture
def run(whole, tmp_path):
    return Path(shutil.copytree(whole[2], tmp_path / "run"))


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_leads_to_the_same_end(
    damage, problem, fit, whole, other, run, caplog, assert_identical
):
    folder = run / "checkpoints" / "linear" / "12"
    damage(folder, "state", other, np.random.default_rng(0))
    assert_identical(fit(problem(), run), whole[:2])
    [line] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert str(folder) in line and line.endswith("training goes on from step 8") and "\n" not in line
    assert (run / "damaged" / "linear" / "12").exists()  # whatever it is, it is kept
    assert read_metrics(run) == read_metrics(whole[2])
    assert_identical(fit(problem(), run), whole[:2])  # and it is whole now


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_without_a_whole_checkpoint_training_is_refused_with_what_to_type(
    damage, problem, fit, other, run, tree, refused
):
    stage = run / "checkpoints" / "linear"
    shutil.rmtree(stage / "8")
    damage(stage / "12", "state", other, np.random.default_rng(0))
    before = tree(run)
    message = refused(fit, problem(), run)
    assert f"{stage / '12'}: is damaged" in message and f"type rm -r {stage} and the same command" in message
    assert tree(run) == before
    refused(saved.restore, run, "linear", 12, problem()[0].abstract_state({}), {"settings": {"seed": 0}})


def test_what_is_not_read_may_change(problem, fit, whole, run, caplog, assert_identical):
    for path in (run / "checkpoints" / "linear" / "12" / "state" / "ocdbt.process_0").rglob("*"):
        path.is_file() and path.write_bytes(b"x")
    (run / "checkpoints" / "linear" / "notes.txt").write_text("notes")
    (run / "checkpoints" / "linear" / "12" / "notes.txt").write_text("notes")
    assert_identical(fit(problem(), run), whole[:2])
    assert not caplog.records and not (run / "damaged").exists()


def test_where_the_best_is_kept_a_damaged_one_is_not_passed_over_for_another(problem, fit, tmp_path, refused):
    settings, scores = dict(steps=8, checkpoint_steps=2, keep=1, best="score"), iter([9.0, 3.0, 1.0, 2.0, 4.0])
    fit(problem(**settings), tmp_path, lambda state: ({"score": next(scores)}, {}))
    best = tmp_path / "checkpoints" / "linear" / "4"
    DAMAGES[2](best, "state", None, np.random.default_rng(0))
    message = refused(fit, problem(**settings), tmp_path)
    assert f"{best}: is damaged" in message and "it may have been the best by score" in message


def test_a_checkpoint_from_before_digests_is_opened_with_a_warning(
    problem, fit, whole, tmp_path, caplog, assert_identical
):
    with pytest.raises(Stopped):
        fit(problem(), tmp_path, at={8: lambda: signal.raise_signal(signal.SIGTERM)})
    for step in (4, 8):
        folder = tmp_path / "checkpoints" / "linear" / str(step)
        (folder / "state").rename(folder / "default")
        shutil.rmtree(folder / "record")
        (folder / "files.json").unlink()
    assert_identical(fit(problem(), tmp_path), whole[:2])
    assert "was saved before checkpoints had digests" in caplog.text
