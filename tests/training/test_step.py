"""The step, on a linear map: which batches reach `update`, on one device and on several."""

import jax
import numpy as np
import pytest

from experiment_jax.data.split import View
from experiment_jax.training import batches, nonfinite
from experiment_jax.training.step import Steps, train_step, train_steps

STEPS = 12
STRATA = dict(strata=2)


def values(walked, name):
    return [float(metrics[name]) for _, metrics in walked]


@pytest.mark.parametrize("precomputed", [False, True])
@pytest.mark.parametrize("flips", [False, True])
def test_flips_mirror_about_half_of_the_images_left_to_right(flips, precomputed, problem, walk):
    images = np.zeros((31, 3, 4, 1), np.uint8)
    images[:, :, :2] = 255  # white on the left
    left = values(walk(problem(images=images, flips=flips, precomputed=precomputed, steps=40)), "left")
    if flips:
        assert 0.4 < np.mean(left) < 0.6  # 320 fair draws: 3.6 standard deviations
        assert len(set(left)) > 3
    else:
        assert set(left) == {1.0}


@pytest.mark.parametrize("precomputed", [False, True])
@pytest.mark.parametrize("flips", [False, True])
def test_without_flips_nothing_is_drawn(flips, precomputed, problem):
    task, _ = problem(flips=flips, precomputed=precomputed, kept=True)
    table = jax.device_put(batches.table(task.view, task.stage.inputs, flips, {}))
    common = task.key, np.int32(0), table, {}
    program = str(jax.make_jaxpr(lambda rows: train_step(task, None, rows, np.int32(0), common))(np.zeros(8, np.int32)))
    assert ("random_bits" in program) == flips


@pytest.mark.parametrize("dispatch", [1, 3])
def test_only_a_stage_that_skips_looks_at_every_step_whether_it_is_finite(dispatch, problem):
    def program(on_nonfinite):
        task, _ = problem(on_nonfinite=on_nonfinite)
        table = jax.device_put(batches.table(task.view, None, False, {}))
        state = task.initial(task.key, {})
        state = (state, nonfinite.Skipped(np.int32(0), np.int32(0))) if on_nonfinite == "skip" else state
        common = task.key, np.int32(0), table, {}
        return str(jax.make_jaxpr(lambda rows: train_steps(task, state, rows, common))(np.zeros((dispatch, 8), int)))

    assert "is_finite" not in program("stop") and "is_finite" in program("skip")


def test_a_batch_that_has_nothing_to_take_is_refused_by_name(problem, refused):
    zeros = np.zeros(31, np.int32)
    message = refused(problem(labels=zeros, stage=STRATA)[0].check_members, ("cat", "dog"))
    assert message.startswith("linear: each batch holds every class, and class dog has no image; choose")
    message = refused(problem(images=np.zeros((0, 5, 4, 1), np.uint8), labels=zeros[:0])[0].check_members)
    assert message.startswith("linear.view=paired: holds no images; ") and "--config.linear.view=all" in message
    problem(labels=zeros)[0].check_members()
    problem(stage=STRATA)[0].check_members()


def test_labels_that_a_stage_before_gives_may_leave_a_class_empty(problem, walk, refused):
    relabel = dict(relabel=lambda view, upstream: View(view.images, np.ones(31, np.int32)))
    message = refused(walk, problem(stage=STRATA | relabel))
    assert "class 0 has no image; train the stage that gives the labels for longer" in message


def test_stratified_batches_reach_the_update_balanced(problem, walk):
    labels = (np.arange(31) % 3 == 0).astype(np.int32)
    assert set(values(walk(problem(labels=labels, stage=STRATA)), "label")) == {0.5}


def test_a_view_without_labels_gives_batches_without(problem, walk):
    assert all("label" not in metrics for _, metrics in walk(problem(labels=None, steps=4)))


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
@pytest.mark.parametrize("flips", [False, True])
def test_eight_devices_do_what_one_does(flips, parallel, problem, walk):
    one, eight = walk(problem(flips=flips)), walk(problem(flips=flips, devices=8, parallel=parallel))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), one[-1][0], eight[-1][0])
    for (_, alone), (_, shared) in zip(one, eight, strict=True):
        assert alone.keys() == shared.keys()
        np.testing.assert_allclose([*alone.values()], [*shared.values()], rtol=1e-4)


def test_a_batch_that_devices_cannot_share_names_one_that_they_can(problem, refused):
    devices = problem(devices=8)[1]
    assert "--config.linear.batch_size=24" in refused(devices.check_divides, 23, "linear.batch_size")
    # And one that classes can share too.
    assert "--config.linear.batch_size=40" in refused(devices.check_divides, 20, "linear.batch_size", strata=10)


SETUPS = {
    "plain": {},
    "flipped and stratified": dict(flips=True, stage=STRATA),
    "dispatched": dict(steps_per_dispatch=3),
    "precomputed": dict(precomputed=True, flips=True),
    "unlabelled": dict(labels=None),
    "on eight devices": dict(devices=8),
    "mapped": dict(parallel="pmap", devices=8, flips=True),
}


@pytest.mark.parametrize("setup", SETUPS)
def test_streamed_batches_are_the_resident_ones_of_one_device_bit_for_bit(setup, problem, assert_identical):
    def given(**settings):
        task, devices = problem(kept=True, **settings)
        steps, seen = Steps(task, {}, devices), []
        state = steps.start()
        for step in range(0, STEPS, task.schedule.dispatch):
            state, _ = steps(state, step)
            whole = np.array if task.context.axis.name is None else lambda leaf: np.concatenate(np.array(leaf))
            seen.append(jax.tree.map(whole, state))
        return seen

    alone = {name: value for name, value in SETUPS[setup].items() if name not in ("devices", "parallel")}
    expected = given(**alone)
    assert len({each["images" if "images" in each else "rows"].tobytes() for each in expected}) == len(expected)
    for on_disk in (False, True):
        for batch, other in zip(given(on_disk=on_disk, **SETUPS[setup]), expected, strict=True):
            assert_identical(batch, other)
