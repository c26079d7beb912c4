"""The loop, on a linear map: stops, crashes, checkpoints, rows."""

import json
import signal
from unittest.mock import Mock

import jax
import numpy as np
import pytest

from experiment_jax import Stopped
from experiment_jax.config.durations import Schedule
from experiment_jax.runs import saved
from experiment_jax.training import loop
from experiment_jax.training.logger import read_metrics
from experiment_jax.training.step import Steps

STEPS = 12
STRATA = dict(strata=2)


class Crash(Exception):
    """Stands for the end of the process: nothing is saved."""


def crash():
    raise Crash


def terminate():
    signal.raise_signal(signal.SIGTERM)


VARIANTS = {
    "plain": {},
    "flipped": dict(flips=True),
    "stratified": dict(stage=STRATA),
    "dispatched": dict(steps_per_dispatch=2),
    "best": dict(best="score"),
    "precomputed": dict(precomputed=True, flips=True),
    "mapped": dict(parallel="pmap", devices=2, flips=True),
    "streamed": dict(on_disk=True, flips=True, stage=STRATA, steps_per_dispatch=2),
}


@pytest.fixture(scope="module")
def whole(problem, fit, tmp_path_factory):
    """`whole(variant)` -> (state, step, directory) of a training in one go."""
    done = {}

    def train(variant):
        if variant not in done:
            workdir = tmp_path_factory.mktemp(variant)
            done[variant] = *fit(problem(**VARIANTS[variant]), workdir), workdir
        return done[variant]

    return train


@pytest.mark.parametrize("variant", VARIANTS)
def test_stops_at_a_checkpoint_and_between_change_nothing(variant, problem, fit, whole, tmp_path, assert_identical):
    state, last, workdir = whole(variant)
    for step in (4, 6):
        with pytest.raises(Stopped, match=f"step {step} of {STEPS}"):
            fit(problem(**VARIANTS[variant]), tmp_path, at={step: terminate})
    parts = fit(problem(**VARIANTS[variant]), tmp_path)
    assert_identical(parts[0], state)
    assert parts[1] == last
    assert read_metrics(tmp_path) == read_metrics(workdir)


@pytest.mark.parametrize("step", [1, 7])
def test_a_crash_costs_the_steps_since_the_last_checkpoint_and_nothing_else(
    step, problem, fit, whole, tmp_path, assert_identical
):
    *expected, workdir = whole("plain")
    with pytest.raises(Crash):
        fit(problem(), tmp_path, at={step: crash})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "linear", "st')  # the line that a kill cuts short
    assert_identical(fit(problem(), tmp_path), tuple(expected))
    text = (tmp_path / "metrics.jsonl").read_text()
    assert text == (workdir / "metrics.jsonl").read_text()
    assert [json.loads(line)["step"] for line in text.splitlines()] == list(range(STEPS + 1))


def test_rows_of_other_stages_are_not_cut(problem, fit, tmp_path):
    row = {"stage": "earlier", "step": 99, "loss": 1.0}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(Crash):
        fit(problem(), tmp_path, at={6: crash})
    fit(problem(), tmp_path)
    rows = read_metrics(tmp_path)
    assert rows[0] == row and [each["step"] for each in rows[1:]] == list(range(STEPS + 1))


def test_a_stop_at_the_last_step_is_not_lost_and_signals_are_given_back(problem, fit, tmp_path):
    # It must not send the run on into the next stage.
    before = [signal.getsignal(number) for number in loop.SIGNALS]
    with pytest.raises(Stopped):
        fit(problem(), tmp_path, at={STEPS: terminate})
    assert fit(problem(), tmp_path)[1] == STEPS
    assert [signal.getsignal(number) for number in loop.SIGNALS] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_before_the_next_dispatch_and_a_second_one_changes_nothing(
    number, problem, fit, whole, tmp_path, assert_identical
):
    def twice():
        signal.raise_signal(number)
        signal.raise_signal(signal.SIGTERM)

    settings = VARIANTS["dispatched"] | dict(log_steps=12, checkpoint_steps=12)
    with pytest.raises(Stopped, match=f"step 2 of {STEPS}") as stopped:
        fit(problem(**settings), tmp_path, at={2: twice})
    assert stopped.value.status == 128 + number
    assert saved.steps(tmp_path, "linear") == [2]
    assert_identical(fit(problem(**settings), tmp_path)[0], whole("dispatched")[0])


def test_a_signal_before_the_first_step_waits_for_none(problem, fit, whole, tmp_path, assert_identical):
    def interrupted(state):
        terminate()
        return {}, {}

    with pytest.raises(Stopped, match=f"step 0 of {STEPS}"):
        fit(problem(), tmp_path, interrupted)
    state, _, workdir = whole("plain")
    assert_identical(fit(problem(), tmp_path)[0], state)
    assert [row["step"] for row in read_metrics(tmp_path)] == [row["step"] for row in read_metrics(workdir)]


@pytest.mark.parametrize(("dispatch", "on_nonfinite"), [(1, "stop"), (3, "stop"), (1, "skip"), (3, "skip")])
def test_the_update_is_traced_once(dispatch, on_nonfinite, problem, fit, tmp_path):
    settings = dict(steps_per_dispatch=dispatch, on_nonfinite=on_nonfinite)

    def counted():
        traces = []
        return problem(**settings, stage=dict(traced=lambda: traces.append(1))), traces

    first, traces = counted()
    with pytest.raises(Stopped):
        fit(first, tmp_path, at={6: terminate})
    assert len(traces) == 1
    resumed, traces = counted()
    fit(resumed, tmp_path)
    assert len(traces) == 1


def test_several_steps_a_dispatch_are_the_same_steps(problem, fit, whole, tmp_path):
    one, _, workdir = whole("plain")
    many, _ = fit(problem(steps_per_dispatch=3), tmp_path)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), one, many)
    single = [row["loss"] for row in read_metrics(workdir)[1:]]
    rows = read_metrics(tmp_path)[1:]
    assert [row["step"] for row in rows] == [3, 6, 9, 12]
    np.testing.assert_allclose([row["loss"] for row in rows], np.reshape(single, (4, 3)).mean(axis=1), rtol=1e-5)


def test_a_row_is_read_while_the_next_dispatch_is_under_way():
    events = []
    steps, logger, checkpoints = Mock(), Mock(validation={}), Mock(chooses=False)
    steps.start.return_value = "state"
    steps.local = lambda tree: tree
    steps.side_effect = lambda state, step: (events.append(f"dispatch {step}") or state, {})
    logger.row.side_effect = lambda step, *_: events.append(f"row {step}")
    checkpoints.latest.return_value = None
    checkpoints.save.side_effect = lambda step, *_: events.append(f"save {step}")
    loop.run(steps, Schedule(total=4, dispatch=1, log=1, checkpoint=2), logger, checkpoints, lambda step: None)
    assert ", ".join(events) == (
        "row 0, dispatch 0, dispatch 1, row 1, row 2, save 2, dispatch 2, dispatch 3, row 3, row 4, save 4"
    )


def scores(values):
    values = iter(values)
    return lambda state: ({"score": next(values)}, {})


@pytest.mark.parametrize(
    ("best", "values", "step"),
    [
        ("score", [9.0, 3.0, 1.0, 2.0, 4.0], 4),
        ("score", [0.0, 3.0, 5.0, 2.0, 4.0], 0),
        ("-score", [1.0, 3.0, 1.0, 2.0, 2.0], 2),
        ("score", [9.0, 1.0, 3.0, 1.0, 2.0], 6),  # of equals the later
        ("", [9.0, 1.0, 3.0, 4.0, 5.0], 8),
    ],
)
def test_the_best_checkpoint_is_kept_and_returned(best, values, step, problem, fit, tmp_path):
    # Measured at steps 0, 2, 4, 6 and 8.
    settings = dict(steps=8, checkpoint_steps=2, keep=1, best=best)
    state, chosen = fit(problem(**settings), tmp_path, scores(values))
    assert chosen == step == int(state.step)
    kept = {int(path.name) for path in (tmp_path / "checkpoints" / "linear").iterdir() if path.name.isdigit()}
    assert kept == {step, 8}
    rows = {row["step"]: row for row in read_metrics(tmp_path)}
    assert [rows[at]["validation_score"] for at in (0, 2, 4, 6, 8)] == values
    assert "validation_score" not in rows[1]


def test_a_state_that_was_not_measured_is_never_the_best(problem, fit, tmp_path):
    settings = dict(steps=8, checkpoint_steps=4, best="score")
    with pytest.raises(Stopped):
        fit(problem(**settings), tmp_path, scores([9.0]), at={2: terminate})
    assert fit(problem(**settings), tmp_path, scores([5.0, 6.0]))[1] == 4


DIVERGES = dict(name="sgd", learning_rate=1e15, clip=0.0, warmup_steps=0)


def assert_saved_states_are_finite(workdir, problem):
    for step in saved.steps(workdir, "linear"):
        state = saved.restore(workdir, "linear", step, problem[0].abstract_state({}))
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize("every", [1, 4, 12])
def test_a_loss_that_is_not_finite_stops_in_one_line_and_is_never_saved(every, problem, fit, tmp_path, refused):
    settings = dict(optimiser=DIVERGES, checkpoint_steps=every)
    message = refused(fit, problem(**settings), tmp_path)
    assert "linear: " in message and (" is nan at step " in message or " is inf at step " in message)
    assert "--config.linear.optimiser.learning_rate=" in message
    assert message.endswith("with --config.linear.on_nonfinite=skip")
    assert saved.steps(tmp_path, "linear") == ([1] if every == 1 else [])
    assert_saved_states_are_finite(tmp_path, problem(**settings))


def test_a_state_that_is_not_finite_is_not_saved_where_a_signal_stops_between_two_rows(problem, fit, tmp_path, refused):
    settings = dict(optimiser=DIVERGES, checkpoint_steps=12, log_steps=12)
    message = refused(fit, problem(**settings), tmp_path, at={6: terminate})
    assert message.startswith("linear: ") and "params/w is " in message and " at step 6;" in message
    assert saved.steps(tmp_path, "linear") == []


def spoilt(every=False, **settings):
    """Settings of a problem in which some batches, or all, have a loss that is NaN; they are skipped."""
    images = np.random.default_rng(0).integers(0, 255, (31, 5, 4, 1), np.uint8)
    images[:: 1 if every else 17, 0, 0] = 255
    return dict(images=images, on_nonfinite="skip", **settings, stage=dict(spoilt=True))


def without_spoilt(problem):
    """(state, which steps were skipped) of a training in which the host takes no step whose loss is NaN."""
    task, devices = problem(**spoilt() | dict(on_nonfinite="stop"))
    steps, skipped = Steps(task, {}, devices), []
    state = steps.start()
    for step in range(STEPS):
        before = jax.tree.map(np.array, state)
        state, metrics = steps(state, step)
        if np.isnan(metrics["loss"]):
            skipped.append(step + 1)
            state = steps.resume(before)
    return jax.tree.map(np.asarray, state), skipped


@pytest.mark.parametrize("variant", ["plain", "dispatched", "mapped", "best"])
def test_skipped_batches_leave_the_state_as_it_was(variant, problem, fit, tmp_path, caplog, assert_identical):
    settings = spoilt(**VARIANTS[variant])
    expected, skipped = without_spoilt(problem)
    assert 2 < len(skipped) < 10 and STEPS - len(skipped) == expected.step
    state, _ = fit(problem(**settings | ({"flips": False} if variant == "mapped" else {})), tmp_path)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), state, expected)
    rows = read_metrics(tmp_path)[1:]
    size = settings.get("steps_per_dispatch", 1)
    of_rows = [sum(step in skipped for step in range(row["step"] - size + 1, row["step"] + 1)) / size for row in rows]
    assert [row["skipped"] for row in rows] == of_rows
    assert all(("loss" in row) == (row["skipped"] < 1) for row in rows)
    warned = [int(line.getMessage().split()[1]) for line in caplog.records if "were skipped" in line.getMessage()]
    assert sum(warned) == len(skipped)


def test_skipping_stops_and_goes_on_and_a_run_may_begin_to_skip(problem, fit, tmp_path, assert_identical, refused):
    whole, parts, late = (tmp_path / name for name in ("whole", "parts", "late"))
    state, _ = fit(problem(**spoilt()), whole)
    for step in (3, 7):
        with pytest.raises(Stopped):
            fit(problem(**spoilt()), parts, at={step: terminate})
    assert_identical(fit(problem(**spoilt()), parts)[0], state)
    assert read_metrics(parts) == read_metrics(whole)
    first = without_spoilt(problem)[1][0]
    stopping = problem(**spoilt(checkpoint_steps=1) | dict(on_nonfinite="stop"))
    assert f"loss is nan at step {first};" in refused(fit, stopping, late)
    assert saved.latest_step(late, "linear") == first - 1
    close = fit(problem(**spoilt()), late)[0]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), close, state)


def test_of_too_many_batches_in_a_row_the_next_is_not_skipped(problem, fit, tmp_path, refused, assert_identical):
    settings = spoilt(every=True, checkpoint_steps=1, keep=20)
    message = refused(fit, problem(**settings), tmp_path)
    assert message.startswith("linear: loss is nan at step 11, after 10 batches in a row that were skipped; lower")
    assert "on_nonfinite" not in message
    assert saved.steps(tmp_path, "linear") == list(range(1, 11))
    like = problem(**settings)[0].abstract_state({})
    first, last = (saved.restore(tmp_path, "linear", step, like) for step in (1, 10))
    assert_identical(first, last)
    assert_saved_states_are_finite(tmp_path, problem(**settings))


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
@pytest.mark.parametrize(("before", "after"), [(8, 1), (1, 8)])
def test_a_checkpoint_is_read_by_another_number_of_devices(before, after, parallel, problem, fit, whole, tmp_path):
    ways = {1: "jit", 8: parallel}
    with pytest.raises(Stopped):
        fit(problem(devices=before, parallel=ways[before]), tmp_path, at={5: terminate})
    before_the_signal = saved.restore(tmp_path, "linear", 5, problem()[0].abstract_state({}))
    assert int(before_the_signal.step) == 5
    state, step = fit(problem(devices=after, parallel=ways[after]), tmp_path)
    assert step == STEPS == int(state.step)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), state, whole("plain")[0])


def test_a_profile_is_traced_over_its_steps_and_changes_nothing(problem, fit, whole, tmp_path, assert_identical):
    state, _, workdir = whole("plain")
    assert_identical(fit(problem(profile=(3, 5)), tmp_path)[0], state)
    assert list((tmp_path / "profile" / "linear").rglob("*.pb"))
    assert not (workdir / "profile").exists()


def test_a_profile_is_two_steps(problem, refused):
    assert "as in (100,110)" in refused(problem, profile=(1, 2, 3))
