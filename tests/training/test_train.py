"""`train` on LSDM with tiny networks: stopping, going on, what is written, and which labels reach which stage."""

import copy
import dataclasses
import runpy
import shutil

import jax
import numpy as np
import pytest

from experiment_jax import Stopped, UserError, load_run, train
from experiment_jax.data.load import load, read
from experiment_jax.data.split import UNPAIRED, Split
from experiment_jax.method.build import build
from experiment_jax.runs import directory, saved
from experiment_jax.runs.finished import finished_record, load_finished
from experiment_jax.runs.verified import digest
from experiment_jax.training.logger import read_metrics
from experiment_jax.training.train import prepare, train_stage
from lsdm_jax.matching import Matching
from lsdm_jax.representation import Representation

FROZEN = {"representation": Representation.Frozen, "matching": Matching.Frozen}


def last_states(config, workdir):
    """The complete state of each stage at its last checkpoint, optimiser and moving average with it."""
    upstream, states = {}, {}
    for task in build(config, load(config.data, config.seed)):
        step = saved.latest_step(workdir, task.name)
        states[task.name] = saved.restore(workdir, task.name, step, task.abstract_state(upstream))
        upstream[task.name] = load_finished(workdir, task.name, task.stage.Frozen)[0]
    return states


def test_stopping_in_both_stages_changes_nothing(finished, tiny, one, tmp_path, stop_after, assert_identical):
    config, whole = finished
    for stage, step in (("representation", 3), ("matching", 1)):
        stop_after(stage, step)
        with pytest.raises(Stopped, match=f"{stage} stopped at step {step} of 4"):
            train(tiny(), tmp_path, one)
    frozen = train(tiny(), tmp_path, one)
    assert_identical(frozen, dict(load_run(whole).model.params))
    assert_identical(last_states(config, tmp_path), last_states(config, whole))
    assert read_metrics(tmp_path) == read_metrics(whole)


def test_matching_in_dispatches_of_two_stops_and_resumes_too(
    finished, tiny, one, tmp_path, stop_after, assert_identical
):
    config = tiny(representation__from_run=str(finished[1]), matching__steps_per_dispatch=2)
    whole = train(config, tmp_path / "whole", one)
    stop_after("matching", 2)
    with pytest.raises(Stopped):
        train(config, tmp_path / "parts", one)
    assert_identical(train(config, tmp_path / "parts", one), whole)
    representation, matching = (finished_record(tmp_path / "parts", name) for name in FROZEN)
    assert matching["upstream"] == {"representation": representation["digest"]}
    assert read_metrics(tmp_path / "parts") == read_metrics(tmp_path / "whole")


def test_rows_name_stage_and_step_from_zero_on(finished):
    workdir = finished[1]
    rows = read_metrics(workdir)
    assert [(row["stage"], row["step"]) for row in rows] == [
        (stage, step) for stage in ("representation", "matching") for step in range(5)
    ]
    for row in rows:
        assert {"loss", "gradient_norm", "update_norm", "parameter_norm"} <= row.keys() or row["step"] == 0
    assert "validation_recon_l1" in rows[0] and "validation_w1_latent" in rows[5]
    assert list((workdir / "tensorboard" / "matching").glob("events*"))
    assert (workdir / "pictures" / "matching" / "0000004_samples.png").is_file()


def test_what_is_trained_is_what_is_written(finished, assert_identical):
    config, workdir = finished
    assert directory.read_config(workdir).to_dict() == config.to_dict()
    run = load_run(workdir)
    assert run.step == 4
    for name, frozen in run.model.params.items():
        stored, record = load_finished(workdir, name, FROZEN[name])
        assert_identical(frozen, stored)
        assert record["digest"] == digest(stored) and record["trained_steps"] == 4
    record = finished_record(workdir, "matching")
    assert record["upstream"] == {"representation": digest(run.model.params["representation"])}


def test_a_finished_run_is_not_trained_again(finished, one, tmp_path, tree, assert_identical):
    config, source = finished
    # Nothing of the training is there but its end; to train again would leave rows and checkpoints.
    workdir = shutil.copytree(source, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints", "metrics.jsonl"))
    before = tree(workdir)
    assert_identical(train(config, workdir, one), dict(load_run(source).model.params))
    assert tree(workdir) == before


def test_the_last_checkpoint_is_what_the_run_froze(finished, assert_identical):
    _, workdir = finished
    last = load_run(workdir).model.params
    assert_identical(load_run(workdir, 4).model.params, last)
    earlier = load_run(workdir, 2)
    assert earlier.step == 2
    assert digest(earlier.model.params["matching"]) != digest(last["matching"])
    with pytest.raises(UserError, match="--step 3: matching has no such checkpoint; it has 2, 4"):
        load_run(workdir, 3)


def test_digests_tell_names_shapes_types_and_values_apart():
    trees = [
        {"a": np.zeros((2, 3), np.float32)},
        {"b": np.zeros((2, 3), np.float32)},
        {"a": np.zeros((3, 2), np.float32)},
        {"a": np.zeros((2, 3), np.int32)},
        {"a": np.eye(2, 3, dtype=np.float32)},
    ]
    assert len({digest(tree) for tree in trees}) == len(trees)
    assert digest(trees[0]) == digest({"a": np.zeros((3, 2), np.float32).T.copy() * 0})


class Counted:
    """A stage that says when its update is traced."""

    def __init__(self, stage, traced):
        self.stage, self.traced = stage, traced

    def __getattr__(self, name):
        return getattr(self.stage, name)

    def update(self, *arguments):
        self.traced()
        return self.stage.update(*arguments)


def test_every_stage_traces_its_update_once(tiny, one, tmp_path):
    run, traces, upstream = prepare(tiny(), tmp_path, one), [], {}
    for task in run.tasks:
        counted = dataclasses.replace(task, stage=Counted(task.stage, lambda name=task.name: traces.append(name)))
        upstream[task.name] = run.finish(counted, *train_stage(run, counted, upstream), upstream)
    assert traces == ["representation", "matching"]


def hidden_runs(dataset, whole):
    """Slices of `whole`, neighbours whose labels may not be used."""
    usable = {image.tobytes() for image in dataset.validation.images}
    usable |= {image.tobytes() for image in dataset.train.images[dataset.train.labels != UNPAIRED]}
    hidden = np.array([image.tobytes() not in usable for image in whole.images])
    edges = np.flatnonzero(np.diff(np.r_[False, hidden, False]))
    return [slice(*edge) for edge in edges.reshape(-1, 2)]


def test_labels_of_unpaired_images_reach_no_parameter_and_those_of_pairs_do(
    tiny, one, tmp_path, request, assert_identical
):
    written = runpy.run_path(str(request.config.rootpath / "tests" / "data" / "write_tiny_digits.py"))
    digits = read(tiny().data, "train")[0].take(np.arange(300))

    def settings(labels, name):
        folder = tmp_path / "sets" / name / "some_digits" / "1.0.0"
        rows = list(zip(digits.images.squeeze(-1), labels, strict=True))
        written["write"](folder, {"train": rows}, written["CLASSES"])
        return tiny(data__name=str(folder), data__paired=50, matching__best="w1_latent")

    config = settings(digits.labels, "true")
    dataset = load(config.data, config.seed)
    frozen = train(config, tmp_path / "truth", one)

    # Labels go round among neighbours that are hidden: what is chosen of each class stays the same.
    labels = digits.labels.copy()
    for run in hidden_runs(dataset, digits):
        labels[run] = np.roll(labels[run], 1)
    assert (labels != digits.labels).sum() > 180  # of 230
    scrambled = settings(labels, "scrambled")
    np.testing.assert_array_equal(load(scrambled.data, scrambled.seed).train.labels, dataset.train.labels)
    assert_identical(train(scrambled, tmp_path / "scrambled", one), frozen)

    labels = dataset.train.labels.copy()
    labels[labels != UNPAIRED] = 9 - labels[labels != UNPAIRED]
    assert (labels != dataset.train.labels).sum() == 50
    exchanged = dataclasses.replace(dataset, train=Split(dataset.train.images, labels))
    wrong = train(copy.deepcopy(config), tmp_path / "exchanged", one, exchanged)
    assert_identical(wrong["representation"], frozen["representation"])
    assert digest(wrong["matching"]) != digest(frozen["matching"])


def test_a_finished_run_goes_on_with_more_steps_and_a_stretched_schedule(
    finished, tiny, one, tmp_path, caplog, refused, assert_identical
):
    workdir = shutil.copytree(finished[1], tmp_path / "run")
    before = read_metrics(workdir)
    longer = tiny(matching__steps=8, matching__keep=1, matching__log_steps=2)
    with caplog.at_level("INFO", logger="experiment_jax"):
        frozen = train(longer, workdir, one)
    assert "stretched from 4 to 8 steps" in caplog.text
    rows = read_metrics(workdir)
    assert rows[: len(before)] == before
    assert [row["step"] for row in rows[len(before) :]] == [6, 8]
    assert load_run(workdir).step == 8
    assert_identical(dict(load_run(workdir).model.params), frozen)
    # At step 6 of 8 the cosine stands high; at step 4 of 4 it had reached zero, and nothing would have moved.
    assert rows[-2]["update_norm"] > 1e-3
    # Back to fewer steps: what was trained cannot be taken back.
    assert "has already trained 8 steps" in refused(train, tiny(), workdir, one)


def test_eight_devices_train_what_one_does(finished, tiny, tmp_path):
    train(tiny(), tmp_path, jax.devices())
    for one, eight in zip(read_metrics(finished[1]), read_metrics(tmp_path), strict=True):
        assert one.keys() == eight.keys()
        for name in one.keys() & {"loss", "gradient_norm", "parameter_norm"}:
            np.testing.assert_allclose(eight[name], one[name], rtol=1e-3 if name == "gradient_norm" else 1e-4)
    # What eight wrote one reads.
    samples = load_run(tmp_path).sample(np.arange(10, dtype=np.int32))
    assert samples.images.shape == (10, 8, 8, 1) and np.isfinite(samples.latents).all()


def test_own_functions_promote_no_types(finished, strict):
    run = load_run(finished[1])
    params = run.model.params
    images = np.zeros((3, 8, 8, 1), np.float32)
    latents = jax.eval_shape(run.model.encode, params, images)
    assert latents.shape == (3, 3) and latents.dtype == np.float32
    assert jax.eval_shape(run.model.decode, params, latents).shape == images.shape
    keys = jax.random.split(jax.random.key(0), 3)
    samples = jax.eval_shape(run.model.sample, params, keys, np.arange(3, dtype=np.int32))
    assert samples.latents.shape == (3, 3) and samples.accepted.dtype == bool
