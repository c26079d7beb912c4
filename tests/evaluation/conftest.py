"""The shipped judge of digits, and one evaluated run, for tests that do not write to them."""

import shutil
from pathlib import Path

import pytest

from experiment_jax import evaluate, load_config, load_run
from experiment_jax.evaluation.evaluate import reference_of
from experiment_jax.evaluation.plan import Plan


def digits(**changes):
    """LSDM on digits; `__` stands for the dot of a key."""
    return load_config("configs/lsdm_digits.py", {key.replace("__", "."): value for key, value in changes.items()})


@pytest.fixture(name="digits", scope="session")
def digits_fixture():
    """`digits(data__validation=50, …)` -> a config."""
    return digits


@pytest.fixture(scope="session")
def reference():
    """The test images of digits as the judge sees them, and 450 training images beside them."""
    return reference_of(digits(), Plan(protocol="test_450"))[0]


@pytest.fixture(scope="session")
def evaluated(finished, tmp_path_factory):
    """(run, its metrics) of a copy of the finished run, evaluated on 90 samples."""
    run = load_run(Path(shutil.copytree(finished[1], tmp_path_factory.mktemp("evaluated") / "run")))
    return run, evaluate(run, num_samples=90)


@pytest.fixture
def copied(evaluated, tmp_path):
    """The directory of a copy of that run."""
    return Path(shutil.copytree(evaluated[0].workdir, tmp_path / "run"))
