"""Members of a sweep: their names, what is refused before anything is trained, and training them one after another."""

import shlex

import numpy as np
import pytest

from experiment_jax import Stopped, UserError, load_config, sweep, train
from experiment_jax.runs import checkpoints
from experiment_jax.runs import directory as run_directory
from experiment_jax.training import logger as record
from experiment_jax.training import loop

TWO = """
yield "low", {"matching.epsilon": 1.0}
yield "high", {"matching.epsilon": 3.0}
"""
BROKEN = """
yield "broken", {"matching.optimiser.learning_rate": 1e30, "matching.optimiser.clip": 0.0}
yield "sound", {"matching.epsilon": 3.0}
"""


def plan(spec, workdir, seeds=None, members=True, **overrides):
    return sweep.plan(spec, overrides, workdir, seeds=seeds, members=members)


def digests(workdir):
    """{stage: digest of what it froze} of one run."""
    return {
        path.name: checkpoints.finished_record(workdir, path.name)["digest"]
        for path in sorted((workdir / "finished").iterdir())
    }


@pytest.fixture
def trained(monkeypatch):
    """The (directory's name, stage) of each training that the loop is asked for, in order."""
    seen, original = [], loop.train

    def watched(job, upstream, workdir, watch):
        seen.append((workdir.name, job.name))
        return original(job, upstream, workdir, watch)

    monkeypatch.setattr(loop, "train", watched)
    return seen


def test_members_are_called_as_they_say_or_after_what_they_set(swept, tmp_path):
    spec = swept('yield "a b", {"matching.epsilon": 1.0}\nyield {"matching.epsilon": 2.0, "data.paired": 100}')
    found = plan(spec, tmp_path / "sweep")
    assert [member.name for member in found.members] == ["a-b", "epsilon=2.0,paired=100"]
    assert found.config(found.members[1]).matching.epsilon == 2.0
    assert not (tmp_path / "sweep").exists()


def test_a_mapping_names_its_members(swept, tmp_path):
    found = plan(swept('return {"a": {"matching.epsilon": 1.0}, "b": {}}'), tmp_path / "sweep")
    assert [member.name for member in found.members] == ["a", "b"]


def test_seeds_multiply_members_and_start_at_the_config_s(swept, tmp_path):
    found = plan(swept(TWO, seed=5), tmp_path / "sweep", seeds=2)
    assert [member.name for member in found.members] == ["low-seed5", "low-seed6", "high-seed5", "high-seed6"]
    assert [member.group for member in found.members] == ["low", "low", "high", "high"]
    assert [found.config(member).seed for member in found.members] == [5, 6, 5, 6]
    alone = plan(swept(""), tmp_path / "sweep", seeds=3, members=False)
    assert [member.name for member in alone.members] == ["small-seed0", "small-seed1", "small-seed2"]


@pytest.mark.parametrize(
    ("body", "match"),
    [
        ('yield "a", {"matching.epsilom": 1.0}', r"member a: --config.matching.epsilom.*matching.epsilon\?"),
        ('yield "a", {"matching.epsilon": "x"}', "member a: --config.matching.epsilon=x: expected float"),
        ('yield "a", {}\nyield "a", {"seed": 1}', "2 members are called a"),
        ("yield 3", "3 is no member; yield"),
        ('yield "", {}', "is no member"),
        ("", r"defines no sweep\(\); leave --sweep out"),
    ],
)
def test_what_is_mistyped_is_said_in_one_line_before_anything_is_trained(body, match, swept, tmp_path):
    with pytest.raises(UserError, match=match) as error:
        plan(swept(body), tmp_path / "sweep")
    assert "\n" not in str(error.value) and not (tmp_path / "sweep").exists()


def test_the_command_line_may_not_set_what_the_sweep_sets(swept, tmp_path):
    with pytest.raises(UserError, match=r"matching\.epsilon=2: the sweep sets it itself"):
        plan(swept(TWO), tmp_path / "sweep", **{"matching.epsilon": "2"})
    found = plan(swept(TWO), tmp_path / "sweep", **{"matching.width": "9"})
    assert {found.config(member).matching.width for member in found.members} == {9}


def test_directories_of_anything_else_are_refused(swept, tmp_path, tree):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    with pytest.raises(UserError, match="holds no sweep"):
        plan(swept(TWO), tmp_path / "other")
    found = plan(swept(TWO), tmp_path / "sweep")
    run_directory.write_text(tmp_path / "sweep" / "sweep.json", '{"config": "else.py", "overrides": {}, "members": []}')
    before = tree(tmp_path / "sweep")
    with pytest.raises(UserError, match=r"holds a sweep of else\.py"):
        plan(swept(TWO), tmp_path / "sweep")
    with pytest.raises(UserError, match="holds no sweep"):
        sweep.read(tmp_path / "other")
    assert tree(tmp_path / "sweep") == before and found.spec.endswith("small.py")


def test_what_can_be_refused_in_any_member_is_said_before_one_is_trained(swept, tmp_path, one, trained):
    found = plan(swept('yield "good", {}\nyield "bad", {"matching.matcher": "sinkhron"}'), tmp_path / "sweep")
    for train_all in (sweep.train_members, sweep.train_together):
        with pytest.raises(UserError, match="sinkhron"):
            train_all(found, devices=one)
    with pytest.raises(UserError, match=r"member bad: matching\.matcher=sinkhron: choose one of critic"):
        sweep.train_members(found, 1, one)
    assert trained == [] and not (tmp_path / "sweep").exists()


@pytest.mark.parametrize("index", [-1, 2, 99])
def test_an_index_out_of_range_says_the_range(index, swept, tmp_path):
    with pytest.raises(UserError, match=f"--sweep_index {index}: the members are numbered from 0 to 1"):
        sweep.train_members(plan(swept(TWO), tmp_path / "sweep"), index)
    assert not (tmp_path / "sweep").exists()


def test_a_shared_stage_is_trained_once_and_each_member_is_what_it_is_alone(swept, tmp_path, one, trained):
    found = plan(swept(TWO), tmp_path / "sweep")
    assert sweep.train_members(found, devices=one) == []
    assert trained == [("low", "representation"), ("low", "matching"), ("high", "matching")]
    assert sweep.read(tmp_path / "sweep") == found
    for member in found.members:
        train(found.config(member), tmp_path / member.name, one)
        assert digests(tmp_path / member.name) == digests(found.directory(member))
    del trained[:]
    assert sweep.train_members(found, devices=one) == [] and trained == []  # finished ones are left alone


def test_a_stage_is_shared_wherever_its_images_coincide(swept, tmp_path, one, trained):
    # Fewer labels are the same images to a representation, which sees none; another seed holds out others.
    body = 'yield "all", {}\nyield "few", {"data.paired": 100}\nyield "other", {"seed": 1}'
    sweep.train_members(plan(swept(body), tmp_path / "sweep"), devices=one)
    assert [name for name, stage in trained if stage == "representation"] == ["all", "other"]


def test_an_index_trains_one_member_and_finds_what_others_have_finished(swept, tmp_path, one, trained):
    found = plan(swept(TWO), tmp_path / "sweep")
    sweep.train_members(found, 1, one)
    sweep.train_members(found, 0, one)
    assert trained == [("high", "representation"), ("high", "matching"), ("low", "matching")]


def test_a_member_that_fails_leaves_its_reason_and_the_others_go_on(swept, tmp_path, one):
    found = plan(swept(BROKEN), tmp_path / "sweep")
    assert sweep.train_members(found, devices=one) == ["broken"]
    reason = (tmp_path / "sweep" / "broken.failed.txt").read_text()
    assert reason.startswith("matching: ") and "lower the learning rate" in reason and reason.count("\n") == 1
    assert set(digests(tmp_path / "sweep" / "sound")) == {"representation", "matching"}


def test_a_bug_in_one_member_is_noted_and_forgotten_once_it_is_gone(swept, tmp_path, one, monkeypatch):
    found = plan(swept(TWO), tmp_path / "sweep")

    def crash(*_):
        raise MemoryError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train", crash)
        assert sweep.train_members(found, devices=one) == ["low", "high"]
    assert (tmp_path / "sweep" / "low.failed.txt").read_text() == "MemoryError: no room\n"
    assert sweep.train_members(found, devices=one) == []
    assert not list((tmp_path / "sweep").glob("*.failed.txt"))


def test_a_sweep_that_is_stopped_anywhere_ends_as_one_that_was_not(swept, tmp_path, one, monkeypatch):
    found, whole = (plan(swept(TWO), tmp_path / name) for name in ("parts", "whole"))
    moments = np.sort(np.random.default_rng(0).choice(np.arange(1, 12), 3, replace=False))
    steps, advance = [], record.Recorder.advance

    def watched(self, step):
        advance(self, step)
        steps.append(step)
        if len(steps) in moments:
            raise Stopped("killed")  # nothing of this step is saved

    with monkeypatch.context() as patch:
        patch.setattr(record.Recorder, "advance", watched)
        for _ in moments:
            with pytest.raises(Stopped):
                sweep.train_members(found, devices=one)
    sweep.train_members(found, devices=one)
    sweep.train_members(whole, devices=one)
    for member in found.members:
        assert digests(found.directory(member)) == digests(whole.directory(member))


def test_command_lines_are_what_a_shell_takes(swept, tmp_path):
    found = plan(swept(TWO), tmp_path / "my sweep")
    lines = sweep.command_lines(found, ["train.py", "--workdir", str(tmp_path / "my sweep"), "--sweep"])
    assert [shlex.split(line, comments=True)[1:] for line in lines] == [
        ["train.py", "--workdir", str(tmp_path / "my sweep"), "--sweep", "--sweep_index", str(index)]
        for index in (0, 1)
    ]
    assert lines[1].endswith("# high: matching.epsilon=3.0")


def test_each_shipped_sweep_is_sound(tmp_path, request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)
    shipped = [
        path for path in sorted((request.config.rootpath / "configs").glob("*.py")) if "def sweep" in path.read_text()
    ]
    assert shipped
    for path in shipped:
        assert len(plan(str(path), tmp_path / path.stem).members) > 1
        assert load_config(str(path)) is not None
