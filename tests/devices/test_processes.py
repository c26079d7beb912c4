"""Two processes that train one run together, over gloo on this machine; what is refused when they do not fit."""

import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiment_jax import load_config, load_run, train
from experiment_jax.devices import processes
from experiment_jax.runs import saved
from experiment_jax.training.logger import read_metrics

SMALL = {
    "classifier.steps": 4,
    "classifier.batch_size": 8,
    "classifier.widths": (4,),
    "classifier.features": 5,
    "classifier.log_steps": 1,
    "classifier.checkpoint_steps": 2,
    "classifier.best": "accuracy",
    "data.validation": 20,
}
LONG = {"classifier.steps": 10**6, "classifier.log_steps": 7, "classifier.checkpoint_steps": 10**6}
# One process of two, with two devices each: the gradient and losses of a stage with BatchNorm; a run, its images on
# disk; what is wrong with one of them only; and a run of which one process is asked to stop.
EACH = f"""
import os, runpy, signal, sys, threading, time
import jax
import numpy as np
from experiment_jax import Stopped, UserError, load_config, train
from experiment_jax.devices import processes
from experiment_jax.training.logger import read_metrics

coordinator, index, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
processes.join(coordinator, 2, index)
gradient, losses = runpy.run_path("tests/devices/cases.py")["outcome"]("batchnorm", "jit", 4)
if processes.is_first():
    np.savez(folder + "/outcome.npz", gradient=gradient, losses=losses)
train(load_config("configs/judge_digits.py", {SMALL} | {{"data.resident": "false"}}), folder + "/run")
wrong = {{"parallel": "pmap"}}, {{"data.validation": 20 if index == 0 else 7}}, {{}}
for changed, devices in zip(wrong, (None, None, jax.devices()[:3])):
    try:
        train(load_config("configs/judge_digits.py", {SMALL} | changed), folder + "/other", devices)
    except UserError as error:
        print("refused:", error)

def interrupt():
    while len(read_metrics(folder + "/stopped")) < 3:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)

if index == 1:
    threading.Thread(target=interrupt).start()
try:
    train(load_config("configs/judge_digits.py", {SMALL} | {LONG}), folder + "/stopped")
except Stopped as stopped:
    print("stopped:", stopped.status, stopped)
"""


@pytest.fixture(scope="module")
def together(tmp_path_factory, request):
    """(folder, standard outputs) of two processes that have done what EACH says."""
    folder, root = tmp_path_factory.mktemp("together"), request.config.rootpath
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    flags = os.environ["XLA_FLAGS"].replace("device_count=8", "device_count=2")
    environment = {**os.environ, "PYTHONPATH": str(root), "XLA_FLAGS": flags}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", EACH, coordinator, str(index), folder],
            cwd=root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        outputs = [each.communicate(timeout=500) for each in both]
    finally:
        for each in both:
            each.kill()
    for each, (_, errors) in zip(both, outputs, strict=True):
        assert each.returncode == 0, errors
    return folder, [output for output, _ in outputs]


def test_gradient_and_losses_of_two_processes_are_those_of_one_device(together, cases):
    with np.load(together[0] / "outcome.npz") as found:
        cases.assert_close("batchnorm", "jit", "2 processes of 2", (found["gradient"], found["losses"]))


def test_the_first_writes_what_one_process_would_and_one_goes_on(together, one, tmp_path):
    workdir = together[0] / "run"
    config = load_config("configs/judge_digits.py", SMALL)
    train(config, tmp_path / "alone", one)
    rows, expected = read_metrics(workdir), read_metrics(tmp_path / "alone")
    assert [row["step"] for row in rows] == [0, 1, 2, 3, 4]
    for row, other in zip(rows, expected, strict=True):
        assert row.keys() == other.keys()
        for name in row.keys() & {"loss", "gradient_norm", "parameter_norm", "validation_accuracy"}:
            np.testing.assert_allclose(row[name], other[name], rtol=1e-3 if name == "gradient_norm" else 1e-4)
    assert len(list((workdir / "tensorboard" / "classifier").iterdir())) == 1
    assert load_run(workdir).step == load_run(tmp_path / "alone").step
    train(load_config("configs/judge_digits.py", SMALL | {"classifier.steps": 6}), workdir, one)
    assert saved.latest_step(workdir, "classifier") == 6
    assert [row["step"] for row in read_metrics(workdir)] == [0, 1, 2, 3, 4, 5, 6]


def test_what_one_process_refuses_all_refuse(together):
    for output in together[1]:
        [pmap, validation, uneven] = [line for line in output.splitlines() if line.startswith("refused: ")]
        assert "parallel=pmap: serves the devices of one process, not of 2" in pmap
        assert "data.validation=7: must be a multiple of the 10 classes" in validation
        assert "process 1 has 1 and process 0 has 2; start processes with equally many devices" in uneven
    assert not (together[0] / "other").exists()


def test_a_signal_to_one_process_stops_all_after_the_same_step(together):
    step = saved.latest_step(together[0] / "stopped", "classifier")
    rows = read_metrics(together[0] / "stopped")
    assert 2 * 7 <= step < 10**6 and rows[-1]["step"] == step // 7 * 7
    for output in together[1]:
        assert output.splitlines()[-1] == f"stopped: 143 classifier stopped at step {step} of 1000000"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ((None, 2, 0), "give all three"),
        (("host:1", None, 0), "give all three"),
        (("host:1", 2, 2), "numbered from 0 to 1"),
        (("host:1", 2, -1), "numbered from 0 to 1"),
        (("host", 2, 0), "--coordinator host:1234"),
    ],
)
def test_processes_that_do_not_fit_are_refused_before_they_meet(given, reason, monkeypatch, refused):
    monkeypatch.setattr(jax.distributed, "initialize", lambda *_: pytest.fail("joined"))
    assert reason in refused(processes.join, *given)


def test_outside_of_a_cluster_the_flags_are_asked_for(monkeypatch, refused):
    def initialize(*_):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    message = refused(processes.join, None, None, None)
    assert "type --coordinator HOST:PORT --num_processes N --process_index I" in message


def test_several_processes_train_no_sweep(script, tmp_path):
    arguments = "--config", "configs/lsdm_digits.py", "--workdir", tmp_path / "run", "--seeds", 2, "--distributed"
    status, _, errors = script("train.py", *arguments)
    assert status == 2 and "leave --distributed out" in errors and len(errors.splitlines()) == 1
    assert not (tmp_path / "run").exists()
