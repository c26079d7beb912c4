"""Before jax is imported: eight fake CPU devices, quick compilation of slower programs, caches of the session's own.

With TEST_ON_ACCELERATOR set, for the tests marked `accelerator`, JAX takes the device that it finds, beside the CPU.

Judges that are trained and compiled programs are cached in a temporary folder, so that no test reads or writes the
user's cache, and a program that several tests or processes need is compiled once.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

# Eight fake devices wait for each other; on a busy machine longer than the 40 seconds after which XLA gives up.
WAIT = "--xla_cpu_collective_call_terminate_timeout_seconds=600"
FLAGS = f"--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0 {WAIT}"
CACHE = tempfile.TemporaryDirectory(prefix="tests-cache-")
os.environ.update(
    XDG_CACHE_HOME=CACHE.name,
    JAX_COMPILATION_CACHE_DIR=f"{CACHE.name}/compiled",
    JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES="none",
    OMP_NUM_THREADS="1",  # of NumPy and scikit-learn, whose threads wait for each other in a loop
)
if "TEST_ON_ACCELERATOR" in os.environ:
    os.environ["JAX_PLATFORMS"] = ""
else:
    os.environ.update(JAX_PLATFORMS="cpu", XLA_FLAGS=f"{os.environ.get('XLA_FLAGS', '')} {FLAGS}".strip())

import jax  # noqa: E402
import pytest  # noqa: E402

from experiment_jax import UserError, load_config  # noqa: E402

PROJECT = Path(__file__).resolve().parent.parent
DATA = PROJECT / "tests" / "data"

TINY = {
    "data.validation": 20,
    "evaluation.protocol": "test_70",
    "representation.steps": 4,
    "representation.batch_size": 16,
    "representation.widths": (4,),
    "representation.latent_size": 3,
    "representation.log_steps": 1,
    "representation.checkpoint_steps": 2,
    "matching.steps": 4,
    "matching.batch_size": 40,
    "matching.width": 8,
    "matching.depth": 1,
    "matching.noise_size": 2,
    "matching.sinkhorn.max_iterations": 20,
    "matching.log_steps": 1,
    "matching.checkpoint_steps": 2,
}


def tiny(**overrides):
    """LSDM on digits, with networks and numbers of steps as small as they get; `__` stands for the dot of a key."""
    changed = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_config("configs/lsdm_digits.py", {**TINY, **changed})


@pytest.fixture(name="tiny", scope="session")
def tiny_fixture():
    """`tiny(representation__steps=6, …)` -> a config."""
    return tiny


@pytest.fixture(scope="session")
def one():
    """One device, as a list."""
    return jax.devices()[:1]


@pytest.fixture(scope="session")
def refused():
    """`refused(call, *arguments)` -> the one line of the UserError that the call raises."""

    def attempt(call, *arguments, **own):
        with pytest.raises(UserError) as error:
            call(*arguments, **own)
        assert "\n" not in str(error.value)
        return str(error.value)

    return attempt


@pytest.fixture(scope="session")
def installed():
    """`installed(source)` skips a test where the package that has those weights is not installed."""
    from experiment_jax.networks.pretrained import weights

    def check(source):
        if weights.installed(source) is None:
            pytest.skip(f"needs the package {source.package}, which is not installed: {weights.INSTALL}")

    return check


@pytest.fixture
def strict():
    """No implicit promotion of types; optax's Adam does not bear it, our own functions must."""
    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory, one):
    """(config, directory) of a finished tiny run, for tests that do not write to it."""
    from experiment_jax import train

    config, workdir = tiny(), tmp_path_factory.mktemp("finished") / "run"
    train(config, workdir, one)
    return config, workdir


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
    from experiment_jax.evaluation.evaluate import reference_of
    from experiment_jax.evaluation.plan import Plan

    return reference_of(digits(), Plan(protocol="test_450"))[0]


@pytest.fixture(scope="session")
def evaluated(finished, tmp_path_factory):
    """(run, its metrics) of a copy of the finished run, evaluated on 90 samples."""
    from experiment_jax import evaluate, load_run

    run = load_run(shutil.copytree(finished[1], tmp_path_factory.mktemp("evaluated") / "run"))
    return run, evaluate(run, num_samples=90)


@pytest.fixture(scope="session")
def reseeded():
    """`reseeded(workdir, seed)` makes a run one of another seed, with the same parameters."""
    from experiment_jax.runs.finished import load_finished, save_finished

    def change(workdir, seed):
        path = workdir / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "seed": seed}))
        for name in [folder.name for folder in (workdir / "finished").iterdir()]:
            frozen, record = load_finished(workdir, name, dict)
            settings = {**record["settings"], "seed": seed}
            save_finished(workdir, name, frozen, {**record, "seed": seed, "settings": settings})

    return change


@pytest.fixture
def copied(evaluated, tmp_path):
    """The directory of a copy of that run."""
    return Path(shutil.copytree(evaluated[0].workdir, tmp_path / "run"))


@pytest.fixture
def tree():
    """`tree(folder)` -> {path: content} of every file under it, to see that nothing was touched."""

    def read(folder):
        return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}

    return read


@pytest.fixture
def script(monkeypatch, capsys):
    """`script("train.py", *arguments)` -> (status, standard output, standard error), in this process."""
    import runpy

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(PROJECT / name), run_name="__main__")
        output = capsys.readouterr()
        return left.value.code, output.out, output.err

    return run
