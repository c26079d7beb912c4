"""A process that is killed, or asked to stop, at any moment; and what importing the package starts."""

import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np

from experiment_jax import load_config, load_run, train
from experiment_jax.runs import saved
from experiment_jax.training.logger import read_metrics

SMALL = {
    "classifier.steps": 24,
    "classifier.batch_size": 8,
    "classifier.widths": (4,),
    "classifier.features": 5,
    "classifier.log_steps": 1,
    "classifier.checkpoint_steps": 2,
    "data.validation": 20,
}
# As train.py does it, but on one device and without settings of the process that change the last bits.
KILLED = f"""
import sys
import jax
from experiment_jax import Stopped, load_config, train
try:
    train(load_config("configs/judge_digits.py", {SMALL}), sys.argv[1], jax.devices()[:1])
except Stopped as stopped:
    print(stopped, file=sys.stderr)
    sys.exit(stopped.status)
"""


def test_a_signal_leaves_a_readable_checkpoint_and_the_rerun_ends_as_if_nothing_had_been(
    one, tmp_path, request, assert_identical
):
    root, whole, workdir = request.config.rootpath, tmp_path / "whole", tmp_path / "killed"
    options = dict(cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, stderr=subprocess.PIPE)
    config = load_config("configs/judge_digits.py", SMALL)
    train(config, whole, one)

    generator = np.random.default_rng()
    rows = 0
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen([sys.executable, "-c", KILLED, workdir], stdout=subprocess.DEVNULL, **options)
        target = rows + int(generator.integers(3, 9))
        while process.poll() is None and len(read_metrics(workdir)) < target:
            time.sleep(0.002)
        time.sleep(generator.uniform(0, 0.05))  # anywhere within a step, a row or a checkpoint
        process.send_signal(number)
        errors = process.communicate()[1].decode()
        done = saved.latest_step(workdir, "classifier")
        assert process.returncode in (0, -number, 128 + signal.SIGTERM), errors
        if process.returncode > 0:  # not where all steps were done before the signal came
            assert errors.splitlines()[-1] == f"classifier stopped at step {done} of 24"
            assert done >= read_metrics(workdir)[-1]["step"]
        if done and not (workdir / "finished" / "classifier").is_dir():
            run = load_run(workdir, done)
            assert run.step == done and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.model.params))
        rows = done
    train(config, workdir, one)
    assert_identical(load_run(workdir).model.params, load_run(whole).model.params)
    assert read_metrics(workdir) == read_metrics(whole)


IMPORTS = """
import sys
import experiment_jax, experiment_jax.evaluation.evaluate
import lsdm_jax.matching, lsdm_jax.representation, lsdm_jax.matchers.sinkhorn
from experiment_jax import load_config
load_config("configs/lsdm_digits.py")
assert not [name for name in sys.modules if name.split(".")[0] == "tensorflow"], "TensorFlow is imported"
print("imported")
import jax.numpy as jnp
jnp.zeros(1)
"""


def test_importing_starts_no_device_and_no_tensorflow(request):
    # On a platform that does not exist the first computation fails, and so it does here at the end.
    root = request.config.rootpath
    environment = {**os.environ, "PYTHONPATH": str(root), "JAX_PLATFORMS": "nonsense"}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "imported\n", done.stderr
    assert done.returncode != 0 and "nonsense" in done.stderr
