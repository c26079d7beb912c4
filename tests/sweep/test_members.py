"""Members of a sweep: their names, what is refused before anything is trained, and training them one after another."""

import contextlib
import logging
import re
import shlex
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiment_jax import Stopped, UserError, load_config, train
from experiment_jax.config import load as configs
from experiment_jax.config.types import to_json
from experiment_jax.files import write_text
from experiment_jax.runs import lock
from experiment_jax.runs.finished import finished_record
from experiment_jax.sweep import members
from experiment_jax.sweep import train as sweep_train
from experiment_jax.sweep.train import train_members, train_together
from experiment_jax.training import loop
from experiment_jax.training.logger import Logger, read_metrics

TWO = """
yield "low", {"matching.optimiser.learning_rate": 1e-3}
yield "high", {"matching.optimiser.learning_rate": 3e-3}
"""
BROKEN = """
yield "broken", {"matching.optimiser.learning_rate": 1e30, "matching.optimiser.clip": 0.0}
yield "sound", {}
"""


def define(spec, workdir, seeds=None, with_members=True, **overrides):
    return members.define(spec, overrides, workdir, seeds=seeds, members=with_members)


def digests(workdir):
    """{stage: digest of what it froze} of one run."""
    return {
        path.name: finished_record(workdir, path.name)["digest"] for path in sorted((workdir / "finished").iterdir())
    }


def trained(workdir):
    """The stages that were trained in a run's directory: a stage taken from another run leaves no rows."""
    return {row["stage"] for row in read_metrics(workdir)}


def test_members_are_called_as_they_say_or_after_what_they_set(swept, tmp_path):
    spec = swept(
        'yield "a b", {"matching.sinkhorn.epsilon": 1.0}\nyield {"matching.sinkhorn.epsilon": 2.0, "data.paired": 100}'
    )
    found = define(spec, tmp_path / "sweep")
    assert [member.name for member in found.members] == ["a-b", "epsilon=2.0,paired=100"]
    assert found.config(found.members[1]).matching.sinkhorn.epsilon == 2.0
    assert not (tmp_path / "sweep").exists()


NAMES = st.one_of(
    st.text(max_size=8),
    st.text("aAéÉß./\\\\- ~:", max_size=4),
    st.text(min_size=90, max_size=260),
    st.sampled_from(["/", "..", "~", "/etc/passwd", "a/../../b", "sweep.json", "runs.csv", "a.failed.txt", "CON"]),
    st.integers(),
    st.floats(),
    st.none(),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=4), st.sampled_from([None, 2]))
def test_whatever_members_are_called_each_has_a_folder_of_its_own_or_the_sweep_is_refused(names, seeds):
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(configs, "sweep", lambda spec: [(name, {}) for name in names]),
    ):
        workdir = Path(folder) / "sweep"
        try:
            found = define("lsdm_digits", workdir, seeds=seeds)
        except UserError as error:
            assert "\n" not in str(error) and not workdir.exists()
            return
        members.write(found)
        own = {path.name for path in workdir.iterdir()}
        for member in found.members:
            assert found.directory(member).parent == found.failure(member).parent == workdir
            found.directory(member).mkdir()  # two of one name would meet here
            write_text(found.failure(member), "a reason")
        assert members.read(workdir) == found
        assert len({path.name.casefold() for path in workdir.iterdir()}) == len(own) + 2 * len(found.members)


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.floats(1e-3, 1e4),
    st.integers(1, 1000).map(np.int32),
    st.booleans().map(np.bool_),
)
def test_numbers_of_numpy_are_what_they_print_as(kind, rate, steps, flips):
    rate = kind(rate)
    own = {"matching.optimiser.learning_rate": rate, "matching.steps": steps, "data.flips": flips}
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(configs, "sweep", lambda spec: [own]):
        found = define("lsdm_digits", Path(folder) / "sweep")
        members.write(found)
        assert members.read(found.workdir) == found
    [member] = found.members
    typed = load_config("lsdm_digits", {key: str(value) for key, value in own.items()})
    assert to_json(found.config(member)) == to_json(typed)
    assert [type(value) for value in member.overrides.values()] == [float, int, bool]
    assert member.name == f"learning_rate={float(str(rate))},steps={steps},flips={flips}"


def test_names_that_are_numbers_are_taken_and_those_of_an_earlier_sweep_count(swept, tmp_path, refused):
    found = define(swept("import numpy as np\nyield 0, {}\nyield np.float32(0.1), {}"), tmp_path / "sweep")
    assert [member.name for member in found.members] == ["0", "0.1"]
    members.write(define(swept('yield "a", {}'), tmp_path / "sweep"))
    assert "A and a are one folder" in refused(define, swept('yield "A", {}'), tmp_path / "sweep")


def test_a_mapping_names_its_members(swept, tmp_path):
    found = define(swept('return {"a": {"matching.sinkhorn.epsilon": 1.0}, "b": {}}'), tmp_path / "sweep")
    assert [member.name for member in found.members] == ["a", "b"]


def test_seeds_multiply_members_and_start_at_the_config_s(swept, tmp_path):
    found = define(swept(TWO, seed=5), tmp_path / "sweep", seeds=2)
    assert [member.name for member in found.members] == ["low-seed5", "low-seed6", "high-seed5", "high-seed6"]
    assert [member.group for member in found.members] == ["low", "low", "high", "high"]
    assert [found.config(member).seed for member in found.members] == [5, 6, 5, 6]
    alone = define(swept(""), tmp_path / "sweep", seeds=3, with_members=False)
    assert [member.name for member in alone.members] == ["small-seed0", "small-seed1", "small-seed2"]


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (
            'yield "a", {"matching.sinkhorn.epsilom": 1.0}',
            r"member a: --config.matching.sinkhorn.epsilom.*matching.sinkhorn.epsilon\?",
        ),
        (
            'yield "a", {"matching.sinkhorn.epsilon": "x"}',
            "member a: --config.matching.sinkhorn.epsilon=x: expected float",
        ),
        ('yield "a", {}\nyield "a", {"seed": 1}', "2 members are called a"),
        ("yield 3", "3 is no member; yield"),
        ('yield "", {}', "'' names no member; yield"),
        ("yield {}", "'' names no member; yield"),
        ('yield "../..", {}', r"'../..' names no member; yield"),
        ("yield None, {}", "None names no member"),
        ('yield "a/b", {}\nyield "a b", {}', "2 members are called a-b as folders"),
        ('yield "Low", {}\nyield "low", {}', "Low and low are one folder where capitals do not count"),
        ('yield "é" * 101, {}', "takes 202 bytes; yield .* of at most 200"),
        ('yield "Sweep.json", {}', "Sweep.json is what the sweep calls a file of its own"),
        ('yield "a", {}\nyield "a.failed.txt", {}', "a.failed.txt is what the sweep calls"),
        ('yield "a", {3: 1}', "member a: 3: is no setting"),
        ("", r"defines no sweep\(\); leave --sweep out"),
    ],
)
def test_what_is_mistyped_is_said_in_one_line_before_anything_is_trained(body, match, swept, tmp_path, refused):
    assert re.search(match, refused(define, swept(body), tmp_path / "sweep"))
    assert not (tmp_path / "sweep").exists()


def test_the_command_line_may_not_set_what_the_sweep_sets(swept, tmp_path, refused):
    message = refused(define, swept(TWO), tmp_path / "sweep", **{"matching.optimiser.learning_rate": "2"})
    assert "matching.optimiser.learning_rate=2: the sweep sets it itself" in message
    found = define(swept(TWO), tmp_path / "sweep", **{"matching.width": "9"})
    assert {found.config(member).matching.width for member in found.members} == {9}


def test_directories_of_anything_else_are_refused(swept, tmp_path, tree, refused):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    assert "holds no sweep" in refused(define, swept(TWO), tmp_path / "other")
    found = define(swept(TWO), tmp_path / "sweep")
    write_text(tmp_path / "sweep" / "sweep.json", '{"config": "else.py", "overrides": {}, "members": []}')
    before = tree(tmp_path / "sweep")
    assert "holds a sweep of else.py" in refused(define, swept(TWO), tmp_path / "sweep")
    assert "holds no sweep" in refused(members.read, tmp_path / "other")
    assert tree(tmp_path / "sweep") == before and found.spec.endswith("small.py")


def test_what_can_be_refused_in_any_member_is_said_before_one_is_trained(swept, tmp_path, one, refused):
    found = define(swept('yield "good", {}\nyield "bad", {"matching.matcher": "sinkhron"}'), tmp_path / "sweep")
    for train_all in (train_members, train_together):
        assert "sinkhron" in refused(train_all, found, devices=one)
    expected = "member bad: matching.matcher=sinkhron: choose one of critic"
    assert refused(train_members, found, 1, one).startswith(expected)
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize("index", [-1, 2, 99])
def test_an_index_out_of_range_says_the_range(index, swept, tmp_path, refused):
    message = refused(train_members, define(swept(TWO), tmp_path / "sweep"), index)
    assert message.startswith(f"--sweep_index {index}: the members are numbered from 0 to 1")
    assert not (tmp_path / "sweep").exists()


def test_a_shared_stage_is_trained_once_and_each_member_is_what_it_is_alone(two, tmp_path, one, tree):
    low, high = (two.directory(member) for member in two.members)
    assert (trained(low), trained(high)) == ({"representation", "matching"}, {"matching"})
    for member in two.members:
        train(two.config(member), tmp_path / member.name, one)
        assert digests(tmp_path / member.name) == digests(two.directory(member))
    before = tree(two.workdir)
    assert train_members(two, devices=one) == [] and tree(two.workdir) == before  # finished ones are left alone


def test_a_sweep_is_read_as_it_was_defined(swept, tmp_path):
    found = define(swept(TWO), tmp_path / "sweep", seeds=2)
    members.write(found)
    assert members.read(tmp_path / "sweep") == found


def test_members_that_a_sweep_has_stay_in_it(swept, tmp_path, refused):
    spec = swept(TWO)
    members.write(define(spec, tmp_path / "sweep", seeds=3))
    members.write(define(spec, tmp_path / "sweep", seeds=2))
    assert {member.name for member in members.read(tmp_path / "sweep").members} == {
        f"{name}-seed{seed}" for name in ("low", "high") for seed in range(3)
    }
    message = refused(define, spec, tmp_path / "sweep")
    assert message.endswith("holds high with --seeds; choose another --workdir")
    members.write(define(spec, tmp_path / "plain"))
    assert "holds high without --seeds" in refused(define, spec, tmp_path / "plain", seeds=2)


def test_a_stage_is_shared_wherever_its_images_coincide(swept, tmp_path, one):
    # Fewer labels are the same images to a representation, which sees none; another seed holds out others.
    body = 'yield "all", {}\nyield "few", {"data.paired": 100}\nyield "other", {"seed": 1}'
    found = define(swept(body, stages=("representation",)), tmp_path / "sweep")
    train_members(found, devices=one)
    assert [member.name for member in found.members if trained(found.directory(member))] == ["all", "other"]


def test_an_index_trains_one_member_and_finds_what_others_have_finished(two, one):
    low, high = (two.directory(member) for member in two.members)
    before = digests(low), digests(high)
    shutil.rmtree(low)
    shutil.rmtree(high)
    train_members(two, 1, one)
    assert trained(high) == {"representation", "matching"} and not low.exists()
    train_members(two, 0, one)
    assert trained(low) == {"matching"} and (digests(low), digests(high)) == before


def test_a_member_that_fails_leaves_its_reason_and_the_others_go_on(swept, tmp_path, one):
    found = define(swept(BROKEN), tmp_path / "sweep")
    assert train_members(found, devices=one) == ["broken"]
    reason = (tmp_path / "sweep" / "broken.failed.txt").read_text()
    assert reason.startswith("matching: ") and "lower the learning rate" in reason and reason.count("\n") == 1
    assert set(digests(tmp_path / "sweep" / "sound")) == {"representation", "matching"}


def test_a_bug_in_one_member_is_noted_and_forgotten_once_it_is_gone(swept, tmp_path, one, monkeypatch):
    found = define(swept(TWO), tmp_path / "sweep")

    def crash(*_):
        raise ArithmeticError("no number")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "run", crash)
        assert train_members(found, devices=one) == ["low", "high"]
    assert (tmp_path / "sweep" / "low.failed.txt").read_text() == "ArithmeticError: no number\n"
    assert train_members(found, devices=one) == []
    assert not list((tmp_path / "sweep").glob("*.failed.txt"))


def test_a_sweep_that_is_stopped_anywhere_ends_as_one_that_was_not(two, swept, tmp_path, one, monkeypatch):
    found = define(swept(TWO), tmp_path / "parts")
    moments = np.sort(np.random.default_rng(0).choice(np.arange(1, 12), 3, replace=False))
    steps, advance = [], Logger.advance

    def stopping(self, step):
        advance(self, step)
        steps.append(step)
        if len(steps) in moments:
            raise Stopped("killed")  # nothing of this step is saved

    with monkeypatch.context() as patch:
        patch.setattr(Logger, "advance", stopping)
        for _ in moments:
            with pytest.raises(Stopped):
                train_members(found, devices=one)
    train_members(found, devices=one)
    for member in found.members:
        assert digests(found.directory(member)) == digests(two.directory(member))


def test_command_lines_are_what_a_shell_takes(swept, tmp_path):
    found = define(swept(TWO), tmp_path / "my sweep")
    lines = members.command_lines(found, ["train.py", "--workdir", str(tmp_path / "my sweep"), "--sweep"])
    assert [shlex.split(line, comments=True)[1:] for line in lines] == [
        ["train.py", "--workdir", str(tmp_path / "my sweep"), "--sweep", "--sweep_index", str(index)]
        for index in (0, 1)
    ]
    assert lines[1].endswith("# high: matching.optimiser.learning_rate=0.003")


def test_each_shipped_sweep_is_sound(tmp_path, request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)
    shipped = [
        path for path in sorted((request.config.rootpath / "configs").glob("*.py")) if "def sweep" in path.read_text()
    ]
    assert shipped
    for path in shipped:
        assert len(define(str(path), tmp_path / path.stem).members) > 1
        assert load_config(str(path)) is not None


def test_a_member_that_another_process_trains_is_left_to_it_and_looked_at_again(two, one, monkeypatch, caplog):
    monkeypatch.setattr(sweep_train, "PAUSE", 0.0)
    before = [digests(two.directory(member)) for member in two.members]
    with contextlib.ExitStack() as other, caplog.at_level("INFO", logger="experiment_jax"):
        other.enter_context(lock.hold(two.directory(two.members[0])))

        class LetsGo(logging.Handler):
            def emit(self, record):
                if record.getMessage().startswith("later: "):
                    other.close()

        handler = LetsGo()
        logging.getLogger("experiment_jax").addHandler(handler)
        try:
            assert train_members(two, devices=one) == []
        finally:
            logging.getLogger("experiment_jax").removeHandler(handler)
    turns = [message.rpartition(": ")[2] for message in caplog.messages if message.startswith("member ")]
    assert turns == ["low", "high", "low"]
    assert [digests(two.directory(member)) for member in two.members] == before
    assert not list(two.workdir.glob("*.failed.txt"))
