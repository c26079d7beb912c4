"""`train` on LSDM with tiny networks: resuming, continuing, taking stages, and which labels reach which stage."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from experiment_jax import Stopped, UserError, load_config, load_run, train
from experiment_jax.data import split as data
from experiment_jax.devices import placement as parallel
from experiment_jax.method import build as method
from experiment_jax.runs import checkpoints
from experiment_jax.runs import directory as run_directory
from experiment_jax.training import logger as record
from experiment_jax.training.train import prepare

PROJECT = Path(__file__).resolve().parent.parent.parent


def assert_identical(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for (path, one), other in zip(jax.tree_util.tree_leaves_with_path(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=jax.tree_util.keystr(path))


def last_states(config, workdir):
    """The complete state of each stage at its last checkpoint, optimiser and moving average with it."""
    parts = method.build(config, data.load(config.data, config.seed))
    upstream, states = {}, {}
    for part in parts:
        job = method.job(part, config, parallel.mesh(jax.devices()[:1]))
        step = checkpoints.latest_step(workdir, part.name)
        states[part.name] = checkpoints.restore(workdir, part.name, step, job.abstract_state(upstream))
        upstream[part.name] = checkpoints.load_finished(workdir, part.name)[0]
    return states


def refused(*arguments):
    with pytest.raises(UserError) as error:
        train(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def stop_after(monkeypatch):
    """`stop_after(stage, step)`: SIGTERM arrives after that step of that stage, once."""

    def arrange(stage, step):
        advance = record.Recorder.advance

        def watched(self, reached):
            advance(self, reached)
            if (self._name, reached) == (stage, step):
                monkeypatch.setattr(record.Recorder, "advance", advance)
                signal.raise_signal(signal.SIGTERM)

        monkeypatch.setattr(record.Recorder, "advance", watched)

    return arrange


def test_stopping_in_both_stages_changes_nothing(finished, tiny, one, tmp_path, stop_after):
    config, whole = finished
    for stage, step in (("representation", 3), ("matching", 1)):
        stop_after(stage, step)
        with pytest.raises(Stopped, match=f"{stage} stopped at step {step} of 4"):
            train(tiny(), tmp_path, one)
    frozen = train(tiny(), tmp_path, one)
    for name, value in frozen.items():
        assert_identical(value, checkpoints.load_finished(whole, name)[0])
    assert_identical(last_states(config, tmp_path), last_states(config, whole))
    assert run_directory.read_metrics(tmp_path) == run_directory.read_metrics(whole)


def test_matching_in_dispatches_of_two_stops_and_resumes_too(finished, tiny, one, tmp_path, stop_after):
    config = tiny(representation__from_run=str(finished[1]), matching__steps_per_dispatch=2)
    whole = train(config, tmp_path / "whole", one)
    stop_after("matching", 2)
    with pytest.raises(Stopped):
        train(config, tmp_path / "parts", one)
    assert_identical(train(config, tmp_path / "parts", one), whole)
    assert run_directory.read_metrics(tmp_path / "parts") == run_directory.read_metrics(tmp_path / "whole")


def test_rows_name_stage_and_step_from_zero_on(finished):
    rows = run_directory.read_metrics(finished[1])
    assert [(row["stage"], row["step"]) for row in rows] == [
        (stage, step) for stage in ("representation", "matching") for step in range(5)
    ]
    for row in rows:
        assert {"loss", "gradient_norm", "update_norm", "parameter_norm"} <= row.keys() or row["step"] == 0
    assert "validation_recon_l1" in rows[0] and "validation_w1_latent" in rows[5]
    workdir = finished[1]
    assert list((workdir / "tensorboard" / "matching").glob("events*"))
    assert (workdir / "pictures" / "matching" / "0000004_samples.png").is_file()


def test_what_is_trained_is_what_is_written(finished):
    config, workdir = finished
    assert run_directory.read_config(workdir).to_dict() == config.to_dict()
    run = load_run(workdir)
    assert run.step == 4
    for name, frozen in run.model.params.items():
        stored, identity = checkpoints.load_finished(workdir, name)
        assert_identical(frozen, stored)
        assert identity["digest"] == checkpoints.digest(stored) and identity["trained_steps"] == 4
    identity = checkpoints.load_finished(workdir, "matching")[1]
    assert identity["upstream"] == {"representation": checkpoints.digest(run.model.params["representation"])}


def test_a_finished_run_is_not_trained_again(finished, one, monkeypatch):
    config, workdir = finished
    monkeypatch.setattr("experiment_jax.loop.train", lambda *_: pytest.fail("trained again"))
    assert_identical(train(config, workdir, one), load_run(workdir).model.params)


def test_the_last_checkpoint_is_what_the_run_froze(finished):
    _, workdir = finished
    assert_identical(load_run(workdir, 4).model.params, load_run(workdir).model.params)
    earlier = load_run(workdir, 2)
    assert earlier.step == 2
    assert checkpoints.digest(earlier.model.params) != checkpoints.digest(load_run(workdir).model.params)
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
    assert len({checkpoints.digest(tree) for tree in trees}) == len(trees)
    assert checkpoints.digest(trees[0]) == checkpoints.digest({"a": np.zeros((3, 2), np.float32).T.copy() * 0})


def test_every_stage_traces_its_update_once(tiny, one, tmp_path, monkeypatch):
    traces, build = [], method.build

    def counted(config, dataset):
        def wrap(part):
            def update(*arguments):
                traces.append(part.name)
                return part.stage.update(*arguments)

            return dataclasses.replace(part, stage=dataclasses.replace(part.stage, update=update))

        return [wrap(part) for part in build(config, dataset)]

    monkeypatch.setattr(method, "build", counted)
    train(tiny(), tmp_path, one)
    assert traces == ["representation", "matching"]


@pytest.fixture
def relabelled(monkeypatch):
    """`relabelled(change)`: from now on training labels are `change(labels, validation, paired)`, with the indices that
    were chosen by the true labels before; the choices stay as they were. Returns how many labels each read changed."""
    balanced, read, choices, changes = data._balanced, data.read, {}, []

    def remembered(labels, count, classes, seed, setting, **limits):
        if setting not in choices:
            choices[setting] = balanced(labels, count, classes, seed, setting, **limits)
        return choices[setting]

    monkeypatch.setattr(data, "_balanced", remembered)

    def arrange(change):
        def changed(section, split):
            whole, names = read(section, split)
            validation = choices["data.validation"]
            paired = np.setdiff1d(np.arange(len(whole)), validation)[choices["data.paired"]]
            labels = change(whole.labels.copy(), validation, paired).astype(np.int32)
            changes.append(int((labels != whole.labels).sum()))
            return data.Split(whole.images, labels), names

        monkeypatch.setattr(data, "read", changed)
        return changes

    return arrange


def test_labels_of_unpaired_images_reach_no_parameter_and_those_of_pairs_do(tiny, one, tmp_path, relabelled):
    config = tiny(data__paired=50, matching__best="w1_latent")
    truth = train(config, tmp_path / "truth", one)

    def scramble(labels, validation, paired):
        hidden = np.setdiff1d(np.arange(len(labels)), np.concatenate([validation, paired]))
        labels[hidden] = (labels[hidden] + 1 + hidden % 8) % 10  # each to another class
        return labels

    changes = relabelled(scramble)
    assert_identical(train(config, tmp_path / "scrambled", one), truth)
    assert changes == [1347 - 20 - 50]

    def exchange(labels, validation, paired):
        labels[paired] = 9 - labels[paired]
        return labels

    changes = relabelled(exchange)
    wrong = train(config, tmp_path / "exchanged", one)
    assert changes[-1] == 50
    assert_identical(wrong["representation"], truth["representation"])
    assert checkpoints.digest(wrong["matching"]) != checkpoints.digest(truth["matching"])


@pytest.fixture(scope="module")
def taker(finished, tiny, one, tmp_path_factory):
    """(config, directory) of a run that took its representation from `finished`."""
    config = tiny(representation__from_run=str(finished[1]), matching__steps=2)
    workdir = tmp_path_factory.mktemp("taker") / "run"
    train(config, workdir, one)
    return config, workdir


def test_a_taken_stage_is_used_as_it_is_and_its_identity_recorded(finished, taker):
    _, source = finished
    _, workdir = taker
    there, origin = checkpoints.load_finished(source, "representation")
    here, identity = checkpoints.load_finished(workdir, "representation")
    assert_identical(here, there)
    assert identity["digest"] == origin["digest"] and identity["from_run"] == str(source)
    assert checkpoints.load_finished(workdir, "matching")[1]["upstream"] == {"representation": origin["digest"]}
    assert not (workdir / "checkpoints" / "representation").exists()


def test_a_run_that_took_a_stage_outlives_its_source(finished, tiny, one, tmp_path):
    import shutil

    source = shutil.copytree(finished[1], tmp_path / "source")
    config = tiny(representation__from_run=str(source), matching__steps=2)
    before = train(config, tmp_path / "run", one)
    shutil.rmtree(source)
    assert_identical(train(config, tmp_path / "run", one), before)
    assert_identical(load_run(tmp_path / "run").model.params, before)


def test_a_stage_of_other_images_is_refused_with_the_setting_to_type(finished, tiny, one, tmp_path):
    message = refused(tiny(representation__from_run=str(finished[1]), data__size=6), tmp_path / "run", one)
    assert "was trained on images of data.size=None; type --config.data.size=None" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"data__label": "parity"}, "data.label=None; type --config.data.label=None"),
        ({"data__paired": 100}, "data.paired=None; type --config.data.paired=None"),
        ({"data__validation": 0}, "data.validation=20; type --config.data.validation=20"),
        ({"seed": 1}, "was trained on labels that seed=0 chose; type --config.seed=0"),
    ],
)
def test_other_labels_are_refused_where_a_stage_saw_labels(changed, reason, finished, tiny, one, tmp_path):
    source = str(finished[1])
    config = tiny(representation__from_run=source, **changed)
    assert prepare(config, tmp_path / "run", one).taken.keys() == {"representation"}  # it saw none
    config = tiny(representation__from_run=source, matching__from_run=source, **changed)
    message = refused(config, tmp_path / "run", one)
    assert message.startswith(f"--config.matching.from_run={source}: ") and reason in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"representation__view": "paired"}, "was trained on view=all; type --config.representation.view=all"),
        ({"data__paired": 100, "data__unpaired": 50}, "data.unpaired=None; type --config.data.unpaired=None"),
    ],
)
def test_other_images_of_the_same_set_are_refused(changed, reason, finished, tiny, one, tmp_path):
    message = refused(tiny(representation__from_run=str(finished[1]), **changed), tmp_path / "run", one)
    assert reason in message and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"representation__latent_size": 5}, ["(64, 3) there", "(64, 5) here"]),
        ({"representation__widths": (4, 6)}, ["absent there"]),
    ],
)
def test_a_stage_that_does_not_fit_shows_names_and_shapes(changed, shown, finished, tiny, one, tmp_path):
    message = refused(tiny(representation__from_run=str(finished[1]), **changed), tmp_path / "run", one)
    assert "from_run" in message and "decoder/" in message
    assert all(part.split()[-1] in message for part in shown)
    assert not (tmp_path / "run").exists()


def test_a_source_that_changed_is_refused(finished, tiny, one, tmp_path, tree):
    import shutil

    source = shutil.copytree(finished[1], tmp_path / "source")
    config = tiny(representation__from_run=str(source), matching__steps=2)
    train(config, tmp_path / "run", one)
    before = tree(tmp_path / "run")
    frozen, identity = checkpoints.load_finished(source, "representation")
    checkpoints.save_finished(source, "representation", {**frozen, "mean": frozen["mean"] + 1}, identity)
    assert "is not the stage that this run began with" in refused(config, tmp_path / "run", one)
    assert tree(tmp_path / "run") == before


def test_a_stage_without_the_stages_that_it_was_trained_on_is_refused(finished, tiny, one, tmp_path):
    message = refused(tiny(matching__from_run=str(finished[1])), tmp_path / "run", one)
    assert "take these from the same run: representation" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("source", ["nowhere", "empty"])
def test_a_source_that_is_no_run_is_refused(source, tiny, one, tmp_path):
    (tmp_path / "empty").mkdir()
    message = refused(tiny(representation__from_run=str(tmp_path / source)), tmp_path / "run", one)
    assert str(tmp_path / source) in message
    assert not (tmp_path / "run").exists()


def test_a_finished_run_goes_on_with_more_steps_and_a_stretched_schedule(taker, tiny, one, tmp_path, caplog):
    import shutil

    config, source = taker
    workdir = Path(shutil.copytree(source, tmp_path / "run"))
    before = run_directory.read_metrics(workdir)
    longer = tiny(
        representation__from_run=config.representation.from_run,
        matching__steps=6,
        matching__keep=1,
        matching__log_steps=2,
    )
    with caplog.at_level("INFO", logger="experiment_jax"):
        frozen = train(longer, workdir, one)
    assert "stretched from 2 to 6 steps" in caplog.text
    rows = run_directory.read_metrics(workdir)
    assert rows[: len(before)] == before
    assert [row["step"] for row in rows[len(before) :]] == [4, 6]
    assert load_run(workdir).step == 6
    assert_identical(load_run(workdir).model.params, frozen)
    # At step 2 of 6 the cosine stands high; at step 2 of 2 it had reached zero, and nothing would have moved.
    assert rows[-2]["update_norm"] > 1e-3
    # Back to fewer steps: what was trained cannot be taken back.
    assert "has already trained 6 steps" in refused(config, workdir, one)


@pytest.mark.parametrize(
    "changed",
    [
        {"matching__epsilon": 3.0},
        {"representation__steps": 8},
        {"seed": 1},
        {"data__validation": 30},
        {"matching__optimiser.learning_rate": 0.5},
    ],
)
def test_any_other_difference_is_refused_and_nothing_is_touched(changed, finished, tiny, one, tree):
    _, workdir = finished
    before = tree(workdir)
    key = next(iter(changed)).replace("__", ".")
    message = refused(tiny(**changed), workdir, one)
    assert key in message and f"--config.{key}=" in message
    assert tree(workdir) == before


def test_a_directory_that_holds_something_else_is_refused(tiny, one, tmp_path, tree):
    (tmp_path / "letter.txt").write_text("dear reader")
    before = tree(tmp_path)
    assert "holds no run" in refused(tiny(), tmp_path, one)
    assert tree(tmp_path) == before


def test_what_a_kill_during_the_first_write_leaves_is_no_obstacle(finished, tiny, tmp_path):
    (tmp_path / ".config.json.123").write_text("{")
    assert run_directory.check(tmp_path, tiny()) == []


def test_the_best_by_a_metric_that_nobody_measures_is_refused_before_anything_is_written(tiny, one, tmp_path):
    message = refused(tiny(matching__best="colour"), tmp_path / "run", one)
    assert "matching.best=colour" in message and "w1_latent, spread" in message
    assert "data.validation=100" in refused(tiny(matching__best="spread", data__validation=0), tmp_path / "run", one)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("validation", "match"),
    [
        (10, r"data\.validation=10: matching is measured by two images of each class or more, and class 0 has 1; "),
        (0, None),
        (20, None),
    ],
)
def test_too_few_validation_images_are_refused_before_anything_is_trained(validation, match, tiny, one, tmp_path):
    config = tiny(data__validation=validation)
    if match is None:
        prepare(config, tmp_path / "run", one)
    else:
        message = refused(config, tmp_path / "run", one)
        assert re.search(match, message) and message.endswith(
            "type --config.data.validation=20, or 0 to measure nothing"
        )
    # A stage that is not measured class by class does not need them, nor one that trains nothing.
    prepare(tiny(data__validation=validation, stages=("representation",)), tmp_path / "run", one)
    prepare(tiny(data__validation=validation, matching__matcher="gmm", matching__steps=0), tmp_path / "run", one)
    assert not (tmp_path / "run").exists()


def test_a_class_without_images_is_refused_before_anything_is_written(tiny, one, tmp_path):
    config = tiny(data__validation=0)
    whole = data.load(config.data, config.seed)
    dataset = dataclasses.replace(whole, train=whole.train.take(np.flatnonzero(whole.train.labels != 3)))
    message = refused(config, tmp_path / "run", one, dataset)
    assert message.startswith("matching: each batch holds every class, and class 3 has no image; ")
    part = dataclasses.replace(whole, validation=whole.train.take(np.flatnonzero(whole.train.labels != 3)))
    message = refused(config, tmp_path / "run", one, part)
    assert "matching is measured by two images of each class or more, and class 3 has 0" in message
    strange = dataclasses.replace(whole, validation=data.Split(whole.train.images, whole.train.labels - 1))
    assert "some of its images have no class" in refused(config, tmp_path / "run", one, strange)
    single = dataclasses.replace(whole, validation=whole.train.take(np.arange(1)))
    message = refused(tiny(stages=("representation",)), tmp_path / "run", one, single)
    assert "data.validation=1: representation is measured by two images or more" in message
    assert not (tmp_path / "run").exists()


def test_eight_devices_train_what_one_does(finished, tiny, tmp_path):
    train(tiny(), tmp_path, jax.devices())
    for one, eight in zip(run_directory.read_metrics(finished[1]), run_directory.read_metrics(tmp_path), strict=True):
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


SMALL_JUDGE = {
    "classifier.steps": 40,
    "classifier.batch_size": 8,
    "classifier.widths": (4,),
    "classifier.features": 5,
    "classifier.log_steps": 1,
    "classifier.checkpoint_steps": 2,
    "data.validation": 20,
}
KILLED = f"""
import sys
import jax
from experiment_jax import load_config, train
train(load_config("configs/judge_digits.py", {SMALL_JUDGE}), sys.argv[1], jax.devices()[:1])
"""


def test_sigkill_leaves_a_readable_checkpoint_and_the_rerun_ends_as_if_nothing_had_been(one, tmp_path):
    command = [sys.executable, "-c", KILLED]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    options = dict(cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    whole, workdir = tmp_path / "whole", tmp_path / "killed"
    config = load_config("configs/judge_digits.py", SMALL_JUDGE)
    train(config, whole, one)

    generator = np.random.default_rng()
    rows = 0
    for _ in range(2):
        process = subprocess.Popen([*command, workdir], **options)
        target = rows + int(generator.integers(3, 12))
        while process.poll() is None and len(run_directory.read_metrics(workdir)) < target:
            time.sleep(0.002)
        time.sleep(generator.uniform(0, 0.05))  # anywhere within a step, a row or a checkpoint
        process.kill()
        process.communicate()
        done = checkpoints.latest_step(workdir, "classifier")
        if done and not (workdir / "finished" / "classifier").is_dir():
            run = load_run(workdir, done)
            assert run.step == done and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.model.params))
        rows = done
    train(config, workdir, one)
    assert_identical(load_run(workdir).model.params, load_run(whole).model.params)
    assert run_directory.read_metrics(workdir) == run_directory.read_metrics(whole)


IMPORTS = """
import sys
import experiment_jax, experiment_jax.evaluation.evaluate
import lsdm_jax.matching, lsdm_jax.representation, lsdm_jax.matchers.sinkhorn
from experiment_jax import load_config
load_config("configs/lsdm_digits.py")
assert not [name for name in sys.modules if name.split(".")[0] == "tensorflow"], "TensorFlow is imported"
"""


def test_importing_starts_no_device_and_no_tensorflow():
    # On a platform that does not exist the first computation would fail.
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "JAX_PLATFORMS": "nonsense"}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    computes = IMPORTS + "import jax.numpy as jnp; jnp.zeros(1)"
    done = subprocess.run(
        [sys.executable, "-c", computes], cwd=PROJECT, env=environment, capture_output=True, check=False
    )
    assert done.returncode != 0
