"""Members that train in one program are what they are by themselves; what one program cannot hold is refused."""

import jax
import numpy as np
import pytest

from experiment_jax import Stopped, UserError, sweep, train
from experiment_jax.config import checks as settings
from experiment_jax.runs import checkpoints
from experiment_jax.runs import directory as run_directory
from experiment_jax.sweep import together
from experiment_jax.training import logger as record
from lsdm_jax.matchers import sinkhorn

RATES = """
yield "a", {"matching.optimiser.learning_rate": 1e-3, "representation.noise": 0.1}
yield "b", {"matching.optimiser.learning_rate": 3e-3, "representation.noise": 0.3}
"""
MATCHERS = {
    "sinkhorn": """
yield "a", {"matching.epsilon": 1.0, "matching.optimiser.b1": 0.9}
yield "b", {"matching.epsilon": 3.0, "matching.optimiser.b1": 0.5}
""",
    "critic": """
yield "a", {"matching.matcher": "critic", "matching.penalty": 10.0, "matching.smoothing": 0.5, "matching.beta": 2.0}
yield "b", {"matching.matcher": "critic", "matching.penalty": 3.0, "matching.smoothing": 1.0, "matching.beta": 0.7}
""",
    "weights": """
yield "a", {"representation.l1": 1.0, "representation.ssim": 0.2, "representation.optimiser.clip": 1.0}
yield "b", {"representation.l1": 0.5, "representation.ssim": 0.4, "representation.optimiser.clip": 0.1}
""",
}
# Widths of which GroupNorm's groups hold several channels: before a norm of single channels a bias has no gradient but
# rounding, which Adam divides by itself.
TEN = dict(
    representation__steps=10,
    representation__widths=(16,),
    matching__steps=10,
    matching__critic_width=8,
    matching__critic_depth=1,
)


def plan(spec, workdir, seeds=None):
    return sweep.plan(spec, {}, workdir, seeds=seeds, members=True)


def assert_close(first, second):
    """Every parameter to 1e-5: not relative to a parameter near zero, which Adam moves by the sign of rounding."""
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for (path, one), other in zip(jax.tree_util.tree_leaves_with_path(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5, err_msg=jax.tree_util.keystr(path))


def assert_as_alone(found, tmp_path, one):
    """Each member's finished stages and rows are those of the same config trained by itself."""
    for member in found.members:
        alone = train(found.config(member), tmp_path / "alone" / member.name, one)
        for stage, frozen in alone.items():
            assert_close(frozen, checkpoints.load_finished(found.directory(member), stage)[0])
        rows = run_directory.read_metrics(tmp_path / "alone" / member.name)
        theirs = run_directory.read_metrics(found.directory(member))
        last = [row for row in rows if row["stage"] == "matching"]
        for mine, their in zip(last, [row for row in theirs if row["stage"] == "matching"], strict=True):
            assert mine.keys() == their.keys()
            np.testing.assert_allclose([*mine.values()][1:], [*their.values()][1:], rtol=1e-3, atol=1e-5)


@pytest.fixture
def traces(monkeypatch):
    """One entry for each time that the Sinkhorn divergence is traced."""
    seen, divergence = [], sinkhorn.divergence

    def counted(*arguments, **solver):
        seen.append(1)
        return divergence(*arguments, **solver)

    monkeypatch.setattr(sinkhorn, "divergence", counted)
    return seen


@pytest.mark.parametrize(("matcher", "devices"), [("sinkhorn", 8), ("critic", 1), ("weights", 1)])
def test_members_in_one_program_are_what_they_are_alone(matcher, devices, swept, tmp_path, one, traces):
    found = plan(swept(MATCHERS[matcher], **TEN), tmp_path / "sweep")
    assert sweep.train_together(found, jax.devices()[:devices]) == []
    # A shared representation leaves one matching to trace, for all members at once; "weights" differ before that.
    assert len(traces) == (0 if matcher == "critic" else 1)
    assert_as_alone(found, tmp_path, one)


def test_seeds_in_one_program_have_their_own_data_noise_and_order(swept, tmp_path, one):
    found = plan(swept('yield "few", {}', data__paired=100, data__flips=True, **TEN), tmp_path / "sweep", seeds=2)
    assert sweep.train_together(found, one) == []
    assert_as_alone(found, tmp_path, one)
    kept = {checkpoints.finished_record(found.directory(member), "matching")["digest"] for member in found.members}
    assert len(kept) == 2


@pytest.mark.parametrize(
    ("other", "match"),
    [
        ('{"matching.matcher": "critic"}', r"differ in matching.matcher \(sinkhorn, critic\), which is no seed"),
        ('{"matching.width": 9}', r"differ in matching.width \(8, 9\)"),
        ('{"matching.steps": 6}', "differ in matching.steps"),
        ('{"matching.optimiser.warmup_percent": 9.0}', "which decides how many steps there are"),
        ('{"matching.beta": 2.0}', r"differ in matching.beta \(inf, 2.0\), and what is infinite"),
        ('{"representation.perceptual": 0.5}', "and 0 leaves out"),
        ('{"data.paired": 100}', "differ in data.paired"),
    ],
)
def test_members_that_differ_in_more_are_refused_with_the_reason(other, match, swept, tmp_path, one):
    found = plan(swept(f'yield "first", {{}}\nyield "second", {other}'), tmp_path / "sweep")
    with pytest.raises(UserError, match=match) as error:
        sweep.train_together(found, one)
    assert "first and second" in str(error.value) and "leave --sweep_together out" in str(error.value)
    assert "\n" not in str(error.value) and not (tmp_path / "sweep").exists()


def test_a_number_that_the_building_of_a_stage_looks_at_is_refused(swept, tmp_path, one, monkeypatch):
    monkeypatch.setattr(settings, "is_argument", lambda value: False)  # checks that look at every number
    found = plan(swept(MATCHERS["sinkhorn"]), tmp_path / "sweep")
    with pytest.raises(UserError, match=r"matching\.epsilon decides how the program is built"):
        sweep.train_together(found, one)
    assert not (tmp_path / "sweep").exists()


def test_a_member_whose_loss_breaks_drops_out_and_the_others_are_untouched(swept, tmp_path, one):
    body = """
yield "broken", {"matching.optimiser.learning_rate": 1e30, "matching.optimiser.clip": 1e30}
yield "sound", {"matching.optimiser.learning_rate": 1e-3, "matching.optimiser.clip": 1.0}
"""
    found = plan(swept(body, **TEN), tmp_path / "sweep")
    assert sweep.train_together(found, one) == ["broken"]
    assert "lower the learning rate" in found.failure(found.members[0]).read_text()
    alone = train(found.config(found.members[1]), tmp_path / "alone", one)
    assert_close(alone["matching"], checkpoints.load_finished(found.directory(found.members[1]), "matching")[0])


def test_members_stop_and_go_on_together_or_from_the_latest_step_that_all_have(swept, tmp_path, one, monkeypatch):
    found, whole = (plan(swept(RATES), tmp_path / name) for name in ("parts", "whole"))
    sweep.train_together(whole, one)
    steps, advance = [], record.Recorder.advance

    def watched(self, step):
        advance(self, step)
        steps.append(step)
        if len(steps) in (3, 7):  # in either stage
            raise Stopped("killed")

    with monkeypatch.context() as patch:
        patch.setattr(record.Recorder, "advance", watched)
        for _ in range(2):
            with pytest.raises(Stopped):
                sweep.train_together(found, one)
    first, second = found.members
    train(found.config(first), found.directory(first), one)  # to the end, alone: its checkpoints are at 2 and 4
    (found.directory(first) / "finished" / "matching").rename(tmp_path / "gone")
    assert sweep.train_together(found, one) == []
    for member in (first, second):
        stages = [checkpoints.load_finished(each.directory(member), "matching")[0] for each in (found, whole)]
        assert_close(*stages)
        rows = [run_directory.read_metrics(each.directory(member)) for each in (found, whole)]
        assert [(row["stage"], row["step"]) for row in rows[0]] == [(row["stage"], row["step"]) for row in rows[1]]
    digests = (checkpoints.finished_record(each.directory(second), "matching")["digest"] for each in (found, whole))
    assert len(set(digests)) == 1


def test_equal_trees_are_held_once_and_different_ones_side_by_side():
    tree = {"a": np.arange(3.0)}
    assert together._shared([tree, {"a": np.arange(3.0)}]) == (tree, None)
    stacked, axis = together._shared([tree, {"a": np.arange(3.0) + 1}])
    assert axis == 0 and stacked["a"].shape == (2, 3)
