"""The loop, on a linear map: stops, crashes, checkpoints, rows."""

import json
import signal

import jax
import numpy as np
import pytest

from experiment_jax import Stopped
from experiment_jax.runs import checkpoints
from experiment_jax.training.logger import read_metrics

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
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Stopped):
        fit(problem(), tmp_path, at={STEPS: terminate})
    assert fit(problem(), tmp_path)[1] == STEPS
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("dispatch", [1, 3])
def test_the_update_is_traced_once(dispatch, problem, fit, tmp_path):
    def counted():
        traces = []
        return problem(steps_per_dispatch=dispatch, stage=dict(traced=lambda: traces.append(1))), traces

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


def test_a_loss_that_is_not_finite_stops_in_one_line_and_is_never_saved(problem, fit, tmp_path, refused):
    settings = dict(optimiser=dict(name="sgd", learning_rate=1e25, clip=0.0, warmup_steps=0), checkpoint_steps=1)
    message = refused(fit, problem(**settings), tmp_path)
    assert "linear: " in message and (" is nan at step " in message or " is inf at step " in message)
    assert "--config.linear.optimiser.learning_rate=" in message
    like = problem(**settings)[0].abstract_state({})
    for step in checkpoints.saved_steps(tmp_path, "linear"):
        state = checkpoints.restore(tmp_path, "linear", step, like)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
@pytest.mark.parametrize(("before", "after"), [(8, 1), (1, 8)])
def test_a_checkpoint_is_read_by_another_number_of_devices(before, after, parallel, problem, fit, whole, tmp_path):
    ways = {1: "jit", 8: parallel}
    with pytest.raises(Stopped):
        fit(problem(devices=before, parallel=ways[before]), tmp_path, at={5: terminate})
    saved = checkpoints.restore(tmp_path, "linear", 5, problem()[0].abstract_state({}))
    assert int(saved.step) == 5
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
