"""What trials stand on: the commands, a small run that nothing disturbed, and what its files hold."""

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from experiment_jax import load_config, train
from experiment_jax.runs.finished import finished_record
from experiment_jax.training.logger import read_metrics
from soaking import Wrong

PROJECT = Path(__file__).resolve().parents[2]
RECIPE = PROJECT / "benchmarks" / "soaking" / "recipe.py"
STAGES = "representation", "matching"
MEMBERS = "epsilon-1", "epsilon-2", "epsilon-4"
SAMPLES = 70  # that evaluations draw
LIMIT = 600  # seconds after which a command counts as hanging
TRACEBACK = "Traceback (most recent call last)"
COMMANDS = {  # each of a folder
    "train": lambda folder: ["train.py", "--config", RECIPE, "--workdir", folder],
    "evaluate": lambda folder: ["eval.py", "--workdir", folder, "--num_samples", SAMPLES],
    "sweep": lambda folder: ["train.py", "--config", RECIPE, "--workdir", folder, "--sweep"],
    "table": lambda folder: ["eval.py", "--workdir", folder, "--sweep", "--num_samples", SAMPLES],
}
BEFORE = {"evaluate": "train", "table": "sweep"}  # the command whose folder a command needs


class Ground:
    """Attributes: folder, where everything is written; steps, of the trial `memory`."""

    def __init__(self, folder: Path, steps: int = 20_000) -> None:
        self.folder, self.steps = folder, steps
        # A cache of its own, so that nothing comes from before; programs are compiled once, however short that takes.
        settings = {
            "jax_compilation_cache_dir": str(folder / "compiled"),
            "jax_persistent_cache_min_compile_time_secs": 0.0,
            "jax_persistent_cache_enable_xla_caches": "none",
        }
        for name, value in settings.items():
            jax.config.update(name, value)  # of this process; commands read their environment
        os.environ.update(
            {name.upper(): str(value) for name, value in settings.items()}, XDG_CACHE_HOME=str(folder / "cache")
        )

    def start(self, arguments: Sequence[Any], devices: int = 1, **environment: str) -> subprocess.Popen:
        """A command of the project, in a group of its own, on so many devices."""
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
        return subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=PROJECT,
            env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags.strip(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def call(self, arguments: Sequence[Any], devices: int = 1, **environment: str) -> str:
        """Standard output of a command that must succeed."""
        status, output, errors = ended(self.start(arguments, devices, **environment))
        if status:
            raise Wrong(f"{' '.join(map(str, arguments))}: status {status}: {errors[-2000:]}")
        return output

    @contextlib.contextmanager
    def place(self, begun: Path | None = None) -> Iterator[Path]:
        """A folder for one trial, which is removed at its end: a copy of another, or not there yet."""
        folder = self.folder / "trials" / uuid.uuid4().hex[:8]
        if begun:
            shutil.copytree(begun, folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def whole(self, name: str) -> Path:
        """The folder that a command left which nothing disturbed."""
        self.seconds(name)
        return self.folder / name

    @functools.cache  # noqa: B019  one ground a process
    def seconds(self, name: str) -> float:
        """How long that took; done at the first call, for the second time where programs were not compiled yet."""
        folder = self.folder / name
        for _ in range(2):
            shutil.rmtree(folder, ignore_errors=True)
            if name in BEFORE:
                shutil.copytree(self.whole(BEFORE[name]), folder)
            begun = time.monotonic()
            self.call(COMMANDS[name](folder))
            took = time.monotonic() - begun
        return took

    @functools.cache  # noqa: B019
    def trained(self, seed: int) -> Path:
        """A run of that seed, trained on one device of this process."""
        folder = self.folder / f"trained-{seed}"
        train(load_config(str(RECIPE), {"seed": seed}), folder, jax.devices()[:1])
        return folder

    def check(self, name: str, folder: Path, rows: bool = True) -> None:
        """Raises Wrong where a folder does not hold what the undisturbed one of a command does.

        Without `rows` they may differ: which of several workers trains a stage that members share is left to chance.
        """
        found, expected = content(name, folder), content(name, self.whole(name))
        for key in expected:
            if found.get(key) != expected[key] and (rows or not key.startswith("rows")):
                raise Wrong(f"{name}: {key} is {str(found.get(key))[:300]}, not {str(expected[key])[:300]}")


def ended(process: subprocess.Popen) -> tuple[int, str, str]:
    """Status, standard output and standard error of a command at its end, which must be without a traceback."""
    try:
        output, errors = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        kill(process)
        raise Wrong(f"{' '.join(map(str, process.args))}: hangs") from None
    if TRACEBACK in errors:
        raise Wrong(errors[-3000:])
    return process.returncode, output, errors


def kill(process: subprocess.Popen) -> None:
    """SIGKILL to a command and all that it has started; its output is thrown away."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def content(name: str, folder: Path) -> dict[str, Any]:
    """What a command leaves that has to be the same every time."""
    if name == "evaluate":
        return {"metrics": untimed(json.loads((folder / "eval" / "24" / "metrics.json").read_text()))}
    if name == "table":
        return {"table": (folder / "sweep.csv").read_text()}
    runs = [folder / member for member in MEMBERS] if name == "sweep" else [folder]
    return {
        f"{what} of {run.name if name == 'sweep' else 'the run'}": value
        for run in runs
        for what, value in (("digests", digests(run)), ("rows", read_metrics(run)))
    }


def digests(workdir: Path) -> dict[str, str]:
    """The digest of each finished stage."""
    return {stage: (finished_record(workdir, stage) or {}).get("digest") for stage in STAGES}


def untimed(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics without how long they took."""
    return {key: value for key, value in metrics.items() if "second" not in key}
