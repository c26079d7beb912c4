"""The loop, on a problem small enough to see through: a linear map fitted to noisy targets."""

import dataclasses
import json
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax import Stopped, UserError
from experiment_jax.config import sections
from experiment_jax.data import passes
from experiment_jax.data.lazy_images import Feed, Images
from experiment_jax.data.split import View
from experiment_jax.devices import placement as parallel
from experiment_jax.method.stage import Stage
from experiment_jax.method.task import Job, plan
from experiment_jax.networks import optimiser, train_state
from experiment_jax.runs import checkpoints
from experiment_jax.runs.directory import read_metrics
from experiment_jax.training import logger as record
from experiment_jax.training import loop
from experiment_jax.training import pmap as pmapped
from experiment_jax.training import step as programs

STEPS = 12
STRATA = 2


def linear(section, total, strata=None, inputs=None, axis_name=None):
    """The stage that fits W in ‖x W − t − noise‖², with targets t of the images' own: everything random is used."""
    descent = optimiser.build(section.optimiser, total)

    def init(key, batch, upstream):
        x = batch["images" if inputs is None else "rows"]
        return train_state.create({"w": jax.random.normal(key, (x[0].size, 3))}, descent)

    def update(state, batch, key, upstream):
        images = batch["images" if inputs is None else "rows"]
        x = images.reshape(len(images), -1)
        targets = x[:, :3] + 0.1 * parallel.draw(jax.random.normal, key, (len(x), 3), axis_name)

        def loss(params, statistics):
            left = jnp.mean(images[:, :, : images.shape[2] // 2] > 0)
            labels = {"label": jnp.mean(batch["labels"].astype(jnp.float32))} if "labels" in batch else {}
            return jnp.mean((x @ params["w"] - targets) ** 2), (statistics, {"left": left, **labels})

        return train_state.descend(state, loss, descent, section.ema_decay, axis_name)

    return Stage(
        init=init,
        update=update,
        averaged=lambda state: state.average["params"],
        finish=lambda state, view, upstream: {"params": state.average["params"]},
        provides={},
        inputs=inputs,
        strata=strata,
    )


IMAGES = np.random.default_rng(0).integers(0, 256, (31, 5, 4, 1), np.uint8)
LABELS = (np.arange(31) % 2).astype(np.int32)
ON_DISK = Images(lambda index: IMAGES[index], IMAGES.shape[1:], np.arange(31))


def job(
    devices=1,
    steps=STEPS,
    strata=None,
    flips=False,
    inputs=None,
    images=IMAGES,
    labels=LABELS,
    way="jit",
    **settings,
):
    axis_name = parallel.axis_name(way)
    section = sections.stage(
        "experiment_jax.evaluation.judges:stage",
        view="paired",
        batch_size=8,
        **{"log_steps": 1, "checkpoint_steps": 4, "ema_decay": 0.9, "steps": steps, **settings},
    )
    stage = linear(section, steps, strata, inputs, axis_name)
    mesh = parallel.mesh(jax.devices()[:devices])
    return Job("linear", stage, View(images, labels), section, 7, flips, mesh, axis_name)


def nothing(state, upstream):
    return {}, {}


def train(job, workdir, watch=nothing):
    state, step = loop.train(job, {}, workdir, watch)
    return jax.tree.map(np.asarray, state), step


def assert_identical(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for (path, one), other in zip(jax.tree_util.tree_leaves_with_path(first), jax.tree.leaves(second), strict=True):
        assert np.asarray(one).dtype == np.asarray(other).dtype, path
        np.testing.assert_array_equal(one, other, err_msg=str(path))


@pytest.fixture
def at_step(monkeypatch):
    """`at_step(k, act)`: after the k-th step `act()` is called, once."""

    def arrange(step, act):
        advance = record.Recorder.advance

        def watched(self, reached):
            advance(self, reached)
            if reached == step:
                monkeypatch.setattr(record.Recorder, "advance", advance)
                act()

        monkeypatch.setattr(record.Recorder, "advance", watched)

    return arrange


class Crash(Exception):
    """Stands for the end of the process: nothing is saved."""


def crash():
    raise Crash


def terminate():
    signal.raise_signal(signal.SIGTERM)


VARIANTS = {
    "plain": {},
    "flipped": dict(flips=True),
    "stratified": dict(strata=STRATA),
    "dispatched": dict(steps_per_dispatch=2),
    "best": dict(best="score"),
    "precomputed": dict(inputs=lambda images, upstream: {"rows": images + 1}, flips=True),
    "mapped": dict(way="pmap", devices=2, flips=True),
    "streamed": dict(images=ON_DISK, flips=True, strata=STRATA, steps_per_dispatch=2),
}


@pytest.mark.parametrize("step", [4, 6])
@pytest.mark.parametrize("variant", VARIANTS)
def test_stop_and_resume_is_training_in_one_go(variant, step, tmp_path, at_step):
    def watch(state, upstream):
        return {"score": float(jnp.sum(state.params["w"]))}, {}

    whole = train(job(**VARIANTS[variant]), tmp_path / "whole", watch)
    at_step(step, terminate)
    with pytest.raises(Stopped, match=f"step {step} of {STEPS}"):
        train(job(**VARIANTS[variant]), tmp_path / "parts", watch)
    parts = train(job(**VARIANTS[variant]), tmp_path / "parts", watch)
    assert_identical(parts[0], whole[0])
    assert parts[1] == whole[1]
    assert read_metrics(tmp_path / "parts") == read_metrics(tmp_path / "whole")


@pytest.mark.parametrize("step", [1, 7])
def test_a_crash_costs_the_steps_since_the_last_checkpoint_and_nothing_else(step, tmp_path, at_step):
    whole = train(job(), tmp_path / "whole")
    at_step(step, crash)
    with pytest.raises(Crash):
        train(job(), tmp_path / "parts")
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "linear", "st')  # the line that a kill cuts short
    assert_identical(train(job(), tmp_path / "parts"), whole)
    text = (tmp_path / "parts" / "metrics.jsonl").read_text()
    assert text == (tmp_path / "whole" / "metrics.jsonl").read_text()
    assert [json.loads(line)["step"] for line in text.splitlines()] == list(range(STEPS + 1))


def test_rows_of_other_stages_are_not_cut(tmp_path, at_step):
    row = {"stage": "earlier", "step": 99, "loss": 1.0}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    at_step(6, crash)
    with pytest.raises(Crash):
        train(job(), tmp_path)
    train(job(), tmp_path)
    rows = read_metrics(tmp_path)
    assert rows[0] == row and [each["step"] for each in rows[1:]] == list(range(STEPS + 1))


def test_a_stop_at_the_last_step_is_not_lost(tmp_path, at_step):
    # It must not send the run on into the next stage.
    at_step(STEPS, terminate)
    with pytest.raises(Stopped):
        train(job(), tmp_path)
    assert train(job(), tmp_path)[1] == STEPS


def test_signals_are_given_back(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    train(job(), tmp_path)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("dispatch", [1, 3])
def test_the_update_is_traced_once(dispatch, tmp_path, at_step):
    def counted(job):
        traces = []

        def update(*arguments):
            traces.append(1)
            return job.stage.update(*arguments)

        return dataclasses.replace(job, stage=dataclasses.replace(job.stage, update=update)), traces

    at_step(6, terminate)
    first, traces = counted(job(steps_per_dispatch=dispatch))
    with pytest.raises(Stopped):
        train(first, tmp_path)
    assert len(traces) == 1
    resumed, traces = counted(job(steps_per_dispatch=dispatch))
    train(resumed, tmp_path)
    assert len(traces) == 1


def test_several_steps_a_dispatch_are_the_same_steps(tmp_path):
    one, many = (train(job(steps_per_dispatch=k), tmp_path / str(k))[0] for k in (1, 3))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), one, many)
    single = [row["loss"] for row in read_metrics(tmp_path / "1")[1:]]
    rows = read_metrics(tmp_path / "3")[1:]
    assert [row["step"] for row in rows] == [3, 6, 9, 12]
    np.testing.assert_allclose([row["loss"] for row in rows], np.reshape(single, (4, 3)).mean(axis=1), rtol=1e-5)


def scores(values):
    values = iter(values)
    return lambda state, upstream: ({"score": next(values)}, {})


@pytest.mark.parametrize(
    ("best", "values", "step"),
    [
        ("score", [9.0, 3.0, 1.0, 2.0, 4.0], 4),
        ("score", [0.0, 3.0, 5.0, 2.0, 4.0], 6),
        ("-score", [9.0, 3.0, 1.0, 2.0, 2.0], 2),
        ("score", [9.0, 1.0, 3.0, 1.0, 2.0], 6),  # of equals the later
        ("", [9.0, 1.0, 3.0, 4.0, 5.0], 8),
    ],
)
def test_the_best_checkpoint_is_kept_and_returned(best, values, step, tmp_path):
    # Measured at steps 0, 2, 4, 6 and 8; what was measured at 0 was not saved.
    settings = dict(steps=8, checkpoint_steps=2, keep=1, best=best)
    state, chosen = train(job(**settings), tmp_path, scores(values))
    assert chosen == step == int(state.step)
    kept = {int(path.name) for path in (tmp_path / "checkpoints" / "linear").iterdir() if path.name.isdigit()}
    assert kept == {step, 8}
    rows = {row["step"]: row for row in read_metrics(tmp_path)}
    assert [rows[at]["validation_score"] for at in (0, 2, 4, 6, 8)] == values
    assert "validation_score" not in rows[1]


def test_a_state_that_was_not_measured_is_never_the_best(tmp_path, at_step):
    settings = dict(steps=8, checkpoint_steps=4, best="score")
    at_step(2, terminate)
    with pytest.raises(Stopped):
        train(job(**settings), tmp_path, scores([0.0]))
    assert train(job(**settings), tmp_path, scores([5.0, 6.0]))[1] == 4


def test_a_loss_that_is_not_finite_stops_in_one_line_and_is_never_saved(tmp_path):
    settings = dict(optimiser=dict(name="sgd", learning_rate=1e25, clip=0.0, warmup_steps=0), checkpoint_steps=1)
    with pytest.raises(UserError, match=r"linear: \w+ is (nan|inf) at step \d+") as error:
        train(job(**settings), tmp_path)
    assert "\n" not in str(error.value) and "--config.linear.optimiser.learning_rate=" in str(error.value)
    steps = [int(path.name) for path in (tmp_path / "checkpoints" / "linear").glob("[0-9]*")]
    like = jax.eval_shape(job(**settings).stage.init, jax.random.key(0), {"images": IMAGES}, {})
    for step in steps:
        state = checkpoints.restore(tmp_path, "linear", step, like)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize("precomputed", [False, True])
@pytest.mark.parametrize("flips", [False, True])
def test_flips_mirror_about_half_of_the_images_left_to_right(flips, precomputed, tmp_path):
    images = np.zeros((31, 3, 4, 1), np.uint8)
    images[:, :, :2] = 255  # white on the left
    inputs = (lambda images, upstream: {"rows": images}) if precomputed else None
    train(job(images=images, flips=flips, inputs=inputs, steps=40, checkpoint_steps=40), tmp_path)
    left = [row["left"] for row in read_metrics(tmp_path)[1:]]
    if flips:
        assert 0.4 < np.mean(left) < 0.6  # 320 fair draws: 3.6 standard deviations
        assert len(set(left)) > 3
    else:
        assert set(left) == {1.0}


@pytest.mark.parametrize("precomputed", [False, True])
@pytest.mark.parametrize("flips", [False, True])
def test_without_flips_nothing_is_drawn(flips, precomputed):
    own = job(flips=flips, inputs=VARIANTS["precomputed"]["inputs"] if precomputed else None)
    still = dataclasses.replace(own.stage, update=lambda state, batch, key, upstream: (batch, {}))
    own = dataclasses.replace(own, stage=still)
    arguments = None, np.zeros((1, 8), np.int32), own.key, np.int32(0), programs.table(own, {}), {}
    program = str(jax.make_jaxpr(lambda *arguments: programs.dispatch(own, *arguments))(*arguments))
    assert ("random_bits" in program) == flips


def test_a_batch_that_has_nothing_to_take_is_refused_by_name():
    zeros = np.zeros(31, np.int32)
    with pytest.raises(UserError, match=r"linear: each batch holds every class, and class dog has no image; choose"):
        job(labels=zeros, strata=STRATA).check_members(("cat", "dog"))
    with pytest.raises(UserError, match=r"linear\.view=paired: holds no images; .*--config\.linear\.view=all"):
        job(images=IMAGES[:0], labels=zeros[:0]).check_members()
    job(labels=zeros).check_members()
    job(strata=STRATA).check_members()


def test_labels_that_a_stage_before_gives_may_leave_a_class_empty(tmp_path):
    own = job(strata=STRATA)
    relabel = dataclasses.replace(own.stage, relabel=lambda view, upstream: View(view.images, np.ones(31, np.int32)))
    with pytest.raises(UserError, match=r"class 0 has no image; type --config\.linear\.view=paired"):
        train(dataclasses.replace(own, stage=relabel), tmp_path)


def test_stratified_batches_reach_the_update_balanced(tmp_path):
    labels = (np.arange(31) % 3 == 0).astype(np.int32)
    train(job(labels=labels, strata=STRATA), tmp_path)
    assert {row["label"] for row in read_metrics(tmp_path)[1:]} == {0.5}


def test_a_view_without_labels_gives_batches_without(tmp_path):
    train(job(labels=None, steps=4), tmp_path)
    assert "label" not in read_metrics(tmp_path)[-1]


@pytest.mark.parametrize("way", ["jit", "pmap"])
@pytest.mark.parametrize("flips", [False, True])
def test_eight_devices_do_what_one_does(flips, way, tmp_path):
    one = train(job(flips=flips), tmp_path / "1")[0]
    states = {1: one, 8: train(job(devices=8, flips=flips, way=way), tmp_path / "8")[0]}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), states[1], states[8])
    for one, eight in zip(read_metrics(tmp_path / "1")[1:], read_metrics(tmp_path / "8")[1:], strict=True):
        assert one.keys() == eight.keys()
        np.testing.assert_allclose(list(map(float, list(one.values())[1:])), list(eight.values())[1:], rtol=1e-4)


@pytest.mark.parametrize("way", ["jit", "pmap"])
@pytest.mark.parametrize(("before", "after"), [(8, 1), (1, 8)])
def test_a_checkpoint_is_read_by_another_number_of_devices(before, after, way, tmp_path, at_step):
    ways = {1: "jit", 8: way}
    at_step(5, terminate)
    with pytest.raises(Stopped):
        train(job(devices=before, way=ways[before]), tmp_path)
    like = jax.eval_shape(job().stage.init, jax.random.key(0), {"images": IMAGES}, {})
    saved = checkpoints.restore(tmp_path, "linear", 5, like)
    assert int(saved.step) == 5
    state, step = train(job(devices=after, way=ways[after]), tmp_path)
    assert step == STEPS == int(state.step)
    whole = train(job(), tmp_path / "whole")[0]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), state, whole)


def test_a_batch_that_devices_cannot_share_names_one_that_they_can():
    with pytest.raises(UserError, match=r"--config\.linear\.batch_size=24"):
        parallel.check_divisible(23, parallel.mesh(), "linear.batch_size")


def test_a_batch_that_classes_and_devices_share_is_advised():
    with pytest.raises(UserError, match=r"--config\.linear\.batch_size=40"):
        parallel.check_divisible(20, parallel.mesh(), "linear.batch_size", strata=10)


SETUPS = {
    "plain": {},
    "flipped and stratified": dict(flips=True, strata=STRATA),
    "dispatched": dict(steps_per_dispatch=3),
    "precomputed": VARIANTS["precomputed"],
    "unlabelled": dict(labels=None),
    "on eight devices": dict(devices=8),
    "mapped": dict(way="pmap", devices=8, flips=True),
}


@pytest.mark.parametrize("setup", SETUPS)
def test_streamed_batches_are_the_resident_ones_of_one_device_bit_for_bit(setup):
    def batches(images, **settings):
        own = job(images=images, **settings)
        parts = own.mesh.size if own.axis_name else 1
        kept = dataclasses.replace(
            own.stage,
            init=lambda key, batch, upstream: jax.tree.map(lambda leaf: leaf[: len(leaf) // parts], batch),
            update=lambda state, batch, key, upstream: (batch, {}),
        )
        own = dataclasses.replace(own, stage=kept)
        program = (pmapped if own.axis_name else programs).single(own, {})
        state, seen = program.initial(), []
        for step in range(0, STEPS, own.section.steps_per_dispatch):
            state, _ = program.advance(state, step)
            whole = (lambda leaf: np.concatenate(np.array(leaf))) if own.axis_name else np.array
            seen.append(jax.tree.map(whole, state))
        return seen

    alone = {name: value for name, value in SETUPS[setup].items() if name not in ("devices", "way")}
    expected = batches(IMAGES, **alone)
    assert len({each["images" if "images" in each else "rows"].tobytes() for each in expected}) == len(expected)
    for images in (IMAGES, ON_DISK):
        for batch, other in zip(batches(images, **SETUPS[setup]), expected, strict=True):
            assert_identical(batch, other)


def test_what_is_read_ahead_is_read_once_and_in_order():
    read = []
    feed = Feed(lambda step: read.append(step) or np.full(2, step), lambda rows: rows, total=12, stride=2)
    assert [int(feed(step)[0]) for step in range(0, 12, 2)] == list(range(0, 12, 2))
    assert sorted(read) == list(range(0, 12, 2))
    assert [int(feed(step)[0]) for step in (4, 6)] == [4, 6]  # from anywhere


def test_passes_count_each_row_once():
    seen = []

    def function(rows):
        seen.append(rows.shape)
        return {"double": 2 * rows, "sum": rows.sum(axis=1)}

    rows = np.arange(33.0).reshape(11, 3)
    results = passes.over(function, rows, batch_size=4)
    np.testing.assert_array_equal(results["double"], 2 * rows)
    np.testing.assert_array_equal(results["sum"], rows.sum(axis=1))
    assert seen == [(4, 3)] * 3


def test_pixels_survive_the_way_to_floats_and_back():
    pixels = np.arange(256, dtype=np.uint8)
    floats = passes.to_float(pixels)
    assert floats.dtype == jnp.float32 and float(floats[0]) == -1.0 and float(floats[255]) == 1.0
    np.testing.assert_array_equal(passes.to_uint8(floats), pixels)
    np.testing.assert_array_equal(passes.to_uint8(jnp.array([-2.0, 3.0])), [0, 255])


def test_a_profile_is_traced_over_its_steps_and_changes_nothing(tmp_path):
    traced, _ = train(job(profile=(3, 5)), tmp_path / "traced")
    assert list((tmp_path / "traced" / "profile" / "linear").rglob("*.pb"))
    assert_identical(traced, train(job(), tmp_path / "plain")[0])
    assert not (tmp_path / "plain" / "profile").exists()


def test_a_profile_is_two_steps():
    with pytest.raises(UserError, match=r"as in \(100,110\)"):
        plan(job(profile=(1, 2, 3)).section, 31)
