"""Members that train in one program are what they are by themselves; what one program cannot hold is refused."""

import jax
import numpy as np
import pytest

from experiment_jax import Stopped, load_run, train
from experiment_jax.devices.mesh import Devices
from experiment_jax.runs.finished import finished_record
from experiment_jax.sweep import members
from experiment_jax.sweep.joint import JointSteps
from experiment_jax.sweep.train import train_together
from experiment_jax.training.logger import Logger, read_metrics
from experiment_jax.training.train import prepare
from lsdm_jax import matching
from lsdm_jax.representation import Representation

RATES = """
yield "a", {"matching.optimiser.learning_rate": 1e-3, "representation.autoencoder.noise": 0.1}
yield "b", {"matching.optimiser.learning_rate": 3e-3, "representation.autoencoder.noise": 0.3}
"""
MATCHERS = {
    "sinkhorn": """
yield "a", {"matching.sinkhorn.epsilon": 1.0, "matching.optimiser.b1": 0.9}
yield "b", {"matching.sinkhorn.epsilon": 3.0, "matching.optimiser.b1": 0.5}
""",
    "critic": """
yield "a", {"matching.critic.penalty": 10.0, "matching.pairs.smoothing": 0.5, "matching.beta": 2.0}
yield "b", {"matching.critic.penalty": 3.0, "matching.pairs.smoothing": 1.0, "matching.beta": 0.7}
""",
}
WEIGHTS = """
yield "a", {"representation.l1": 1.0, "representation.ssim": 0.2, "representation.optimiser.clip": 1.0}
yield "b", {"representation.l1": 0.5, "representation.ssim": 0.4, "representation.optimiser.clip": 0.1}
"""
TEN = dict(matching__steps=10, matching__log_steps=5, matching__checkpoint_steps=10)
PIXELS = dict(representation__kind="identity", representation__steps=0)
# Widths of which GroupNorm's groups hold several channels: before a norm of single channels a bias has no gradient but
# rounding, which Adam divides by itself.
TRAINED = dict(representation__steps=10, representation__widths=(16,), representation__checkpoint_steps=10)


def define(spec, workdir, seeds=None):
    return members.define(spec, {}, workdir, seeds=seeds, members=True)


def frozen(found, member):
    """What each stage of a member froze, by name, as it lies in the member's directory."""
    return load_run(found.directory(member)).model.params


def assert_close(first, second):
    """Every parameter to 1e-5: not relative to a parameter near zero, which Adam moves by the sign of rounding."""
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for (path, one), other in zip(jax.tree_util.tree_leaves_with_path(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5, err_msg=jax.tree_util.keystr(path))


def assert_as_alone(found, tmp_path, one):
    """Each member's finished stages and rows are those of the same config trained by itself."""
    for member in found.members:
        alone = train(found.config(member), tmp_path / "alone" / member.name, one)
        together = frozen(found, member)
        assert alone.keys() == together.keys()
        for stage in alone:
            assert_close(alone[stage], together[stage])
        rows, theirs = (read_metrics(place) for place in (tmp_path / "alone" / member.name, found.directory(member)))
        last = [[row for row in each if row["stage"] == found.config(member).stages[-1]] for each in (rows, theirs)]
        assert last[0]
        for mine, their in zip(*last, strict=True):
            assert mine.keys() == their.keys()
            np.testing.assert_allclose([*mine.values()][1:], [*their.values()][1:], rtol=1e-3, atol=1e-5)


@pytest.fixture
def traces(monkeypatch):
    """The name of a stage for each time that its update is traced."""
    seen = []

    def counted(kind):
        update = kind.update

        def traced(self, *arguments):
            seen.append(self.context.name)
            return update(self, *arguments)

        monkeypatch.setattr(kind, "update", traced)

    counted(Representation)
    counted(matching.Matching)
    return seen


@pytest.mark.parametrize(("matcher", "devices"), [("sinkhorn", 8), ("critic", 1)])
def test_members_in_one_program_are_what_they_are_alone(matcher, devices, swept, tmp_path, one, traces):
    small = dict(matching__matcher=matcher, matching__draws=1, matching__critic__width=8, matching__critic__depth=1)
    found = define(swept(MATCHERS[matcher], **small, **PIXELS, **TEN), tmp_path / "sweep")
    assert train_together(found, jax.devices()[:devices]) == []
    assert traces == ["matching"]  # once, for all members
    assert_as_alone(found, tmp_path, one)


def test_members_of_different_weights_are_what_they_are_alone(swept, tmp_path, one, traces):
    skips = dict(representation__on_nonfinite="skip")  # each member by itself, from a count of its own
    found = define(swept(WEIGHTS, stages=("representation",), **TRAINED, **skips), tmp_path / "sweep")
    assert train_together(found, one) == []
    assert traces == ["representation"]
    assert_as_alone(found, tmp_path, one)


def test_seeds_in_one_program_have_their_own_data_noise_and_order(swept, tmp_path, one, traces):
    spec = swept('yield "few", {}', data__paired=100, data__flips=True, **TRAINED, **TEN)
    found = define(spec, tmp_path / "sweep", seeds=2)
    assert train_together(found, one) == []
    assert traces == ["representation", "matching"]  # in either stage once, for members of different representations
    assert_as_alone(found, tmp_path, one)
    kept = {finished_record(found.directory(member), "matching")["digest"] for member in found.members}
    assert len(kept) == 2


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ('{"matching.matcher": "critic"}', "differ in matching.matcher (energy, critic), which is no seed"),
        ('{"matching.width": 9}', "differ in matching.width (8, 9)"),
        ('{"matching.steps": 6}', "differ in matching.steps"),
        ('{"matching.optimiser.warmup_percent": 9.0}', "which decides how many steps there are"),
        ('{"matching.beta": 2.0}', "differ in matching.beta (inf, 2.0), and what is infinite"),
        ('{"representation.perceptual": 0.5}', "and 0 leaves out"),
        ('{"data.paired": 100}', "differ in data.paired"),
    ],
)
def test_members_that_differ_in_more_are_refused_with_the_reason(other, reason, swept, tmp_path, one, refused):
    found = define(swept(f'yield "first", {{}}\nyield "second", {other}'), tmp_path / "sweep")
    message = refused(train_together, found, one)
    assert reason in message and "first and second" in message and "leave --sweep_together out" in message
    assert not (tmp_path / "sweep").exists()


def test_a_number_that_the_building_of_a_stage_looks_at_is_refused(swept, tmp_path, one, monkeypatch, refused):
    build = matching.stage

    def looking(config, context):
        assert (config.sinkhorn.epsilon > 2.0) in (False, True)
        return build(config, context)

    monkeypatch.setattr(matching, "stage", looking)
    message = refused(train_together, define(swept(MATCHERS["sinkhorn"]), tmp_path / "sweep"), one)
    assert "matching.sinkhorn.epsilon (1.0, 3.0) decides how the program is built" in message
    assert "leave --sweep_together out" in message and not (tmp_path / "sweep").exists()


def test_a_member_whose_loss_breaks_drops_out_and_the_others_are_untouched(swept, tmp_path, one):
    body = """
yield "broken", {"matching.optimiser.learning_rate": 1e30, "matching.optimiser.clip": 1e30}
yield "sound", {"matching.optimiser.learning_rate": 1e-3, "matching.optimiser.clip": 1.0}
"""
    found = define(swept(body, **TEN), tmp_path / "sweep")
    assert train_together(found, one) == ["broken"]
    broken, sound = found.members
    assert "lower the learning rate" in found.failure(broken).read_text()
    assert not found.failure(sound).exists()
    assert {row["stage"] for row in read_metrics(found.directory(sound))} == {"matching"}  # the first was shared
    assert_close(train(found.config(sound), tmp_path / "alone", one)["matching"], frozen(found, sound)["matching"])


def test_members_stop_and_go_on_together_or_from_the_latest_step_that_all_have(swept, tmp_path, one, monkeypatch):
    found, whole = (define(swept(RATES), tmp_path / name) for name in ("parts", "whole"))
    train_together(whole, one)
    steps, advance = [], Logger.advance

    def stopping(self, step):
        advance(self, step)
        steps.append(step)
        if len(steps) in (3, 7):  # in either stage
            raise Stopped("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Logger, "advance", stopping)
        for _ in range(2):
            with pytest.raises(Stopped):
                train_together(found, one)
    first, second = found.members
    train(found.config(first), found.directory(first), one)  # to the end, alone: its checkpoints are at 2 and 4
    (found.directory(first) / "finished" / "matching").rename(tmp_path / "gone")
    assert train_together(found, one) == []
    for member in (first, second):
        assert_close(*(frozen(each, member)["matching"] for each in (found, whole)))
        rows = [read_metrics(each.directory(member)) for each in (found, whole)]
        assert [(row["stage"], row["step"]) for row in rows[0]] == [(row["stage"], row["step"]) for row in rows[1]]
    digests = (finished_record(each.directory(second), "matching")["digest"] for each in (found, whole))
    assert len(set(digests)) == 1


class Idle(Devices):
    """Devices that compute nothing: in place of metrics, what all steps share."""

    def compile(self, steps):
        return lambda state, rows, common: (state, common)


@pytest.mark.parametrize(
    ("seeds", "shift", "of_images", "of_upstream"), [((0, 0), 0, (), ()), ((0, 1), 0, (2,), ()), ((0, 0), 1, (), (2,))]
)
def test_what_members_share_is_held_once_and_the_rest_side_by_side(
    seeds, shift, of_images, of_upstream, tiny, one, tmp_path
):
    runs = [prepare(tiny(seed=seed), tmp_path / str(seed), one) for seed in seeds]
    tasks = [run.tasks[0] for run in runs]
    upstreams = [{"earlier": np.arange(3.0)}, {"earlier": np.arange(3.0) + shift}]
    steps = JointSteps(tasks, upstreams, Idle(runs[0].devices.mesh), lambda numbers: tasks[0], {})
    _, (_, _, _, table, upstream) = steps(None, 0)
    assert table["rows"]["images"].shape == (*of_images, 1, len(tasks[0].view), 8, 8, 1)
    assert upstream["earlier"].shape == (*of_upstream, 3)
