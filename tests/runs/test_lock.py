"""One writer in a folder: who holds it, whose death frees it, and who waits."""

import contextlib
import errno
import fcntl
import json
import os
import subprocess
import sys
import threading

import pytest

from experiment_jax import load_run, train
from experiment_jax.errors import Busy
from experiment_jax.runs import directory, lock
from experiment_jax.training.train import prepare

HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "a+")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def process(tmp_path):
    """A process that holds the lock of the folder until it is killed."""
    (tmp_path / lock.NAME).write_text(json.dumps({"host": "here", "pid": 7}))
    arguments = [sys.executable, "-c", HOLDER, tmp_path / lock.NAME]
    holder = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    yield holder
    holder.kill()
    holder.communicate()


def held(folder):
    """Whether another process would be refused; what is free is held for a moment."""
    try:
        with lock.hold(folder):
            return False
    except Busy:
        return True


def test_a_second_writer_is_refused_by_name_and_leaves_no_trace(tmp_path, tree, refused):
    with lock.hold(tmp_path / "run"):
        before = tree(tmp_path)
        message = refused(lambda: lock.hold(tmp_path / "run").__enter__())
        assert f"process {os.getpid()} on " in message and "wait until it has ended" in message
        assert tree(tmp_path) == before and held(tmp_path / "run")
    assert not held(tmp_path / "run") and not list((tmp_path / "run").iterdir())


def test_the_death_of_a_holder_frees_the_folder(process, tmp_path, monkeypatch):
    assert held(tmp_path)
    process.kill()
    process.communicate()
    monkeypatch.setattr(lock, "PATIENCE", 0.0)  # the name in the file is of another host
    assert not held(tmp_path)


def test_a_name_of_this_host_that_holds_nothing_is_of_a_dead_process(tmp_path, monkeypatch):
    with lock.hold(tmp_path):
        content = (tmp_path / lock.NAME).read_text()
    (tmp_path / lock.NAME).write_text(content)  # as a kill leaves it
    monkeypatch.setattr(lock, "PATIENCE", 1e9)
    assert not held(tmp_path)


@pytest.mark.parametrize("alive", [True, False])
def test_a_holder_on_another_host_is_known_by_its_heartbeat(alive, tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE", 0.3)
    path = tmp_path / lock.NAME
    path.write_text(json.dumps({"host": "elsewhere", "pid": 7}))
    stop, times = threading.Event(), iter(range(1, 10**6))

    def beat():
        while not stop.wait(0.01):
            os.utime(path, ns=(0, next(times)))

    thread = threading.Thread(target=beat if alive else lambda: None)
    thread.start()
    try:
        assert held(tmp_path) == alive
    finally:
        stop.set()
        thread.join()


def test_where_the_file_system_has_no_locks_heartbeats_decide(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    monkeypatch.setattr(lock, "BEAT", 0.01)
    monkeypatch.setattr(lock, "PATIENCE", 5.0)
    with lock.hold(tmp_path):
        assert held(tmp_path)
    assert not held(tmp_path)


def test_who_waits_gets_the_folder_when_its_holder_lets_go(tmp_path):
    order = []

    def second():
        with lock.hold(tmp_path, wait=True):
            order.append("second")

    with lock.hold(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_run_that_is_trained_is_not_trained_by_another_and_may_be_read(copied, tiny, one, tree, refused):
    with lock.hold(copied):
        before = tree(copied)
        assert " writes there; wait" in refused(train, tiny(), copied, one)
        assert load_run(copied).step == 4
        assert tree(copied) == before
    train(tiny(), copied, one)
    assert not (copied / lock.NAME).exists()


def test_a_run_that_was_begun_meanwhile_is_looked_at_again(tiny, one, tmp_path, refused):
    # Another process writes its config between this one's checks and its lock.
    run = prepare(tiny(), tmp_path / "run", one)
    directory.write_config(tmp_path / "run", tiny(seed=5))
    assert "holds a run with seed=5, not 0" in refused(lambda: contextlib.ExitStack().enter_context(run.begun()))
    assert directory.read_config(tmp_path / "run").seed == 5
    assert not (tmp_path / "run" / lock.NAME).exists()
