"""Full and read-only disks: one line, what was there stays, and what goes on ends as if nothing had been."""

import errno
import functools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from experiment_jax import UserError, evaluate, load_config, load_run, train
from experiment_jax.training.logger import read_metrics
from soaking import Wrong
from soaking.disk import Disk
from soaking.ground import BEFORE, COMMANDS, RECIPE, SAMPLES, Ground, digests, ended, untimed

REASONS = errno.ENOSPC, errno.EROFS
SHORT = {"representation.steps": 2, "representation.checkpoint_steps": 1, "matching.steps": 2}
STRIDE = 7919  # a prime: consecutive trials are of other parts, and as many trials as there are writes try each
SMALL, LARGE = 16, 4096  # kilobytes of the small disk, and more than what is to be written


def each_write(ground: Ground, rng: Any, number: int) -> str:
    """Every write of a training and of an evaluation in turn, and all that follow it, refused."""
    cases = _cases(ground)
    act, first = cases[number * STRIDE % len(cases)]
    reason = REASONS[(number + number // len(cases)) % 2]
    try:
        return act(ground, first, reason)
    except Wrong as error:
        raise Wrong(f"{act.__name__}, write {first}, {errno.errorcode[reason]}: {error}") from error


@functools.cache
def _cases(ground: Ground) -> list[tuple[Any, int]]:
    """Of every write that there is, whether training or evaluation makes it, and its number."""
    whole = _whole(ground)
    with ground.place() as folder, Disk(folder).mounted() as disk:
        train(_config(), folder, jax.devices()[:1])
    writes = len(disk.writes)
    with ground.place(whole) as folder, Disk(folder).mounted() as disk:
        evaluate(load_run(folder), num_samples=SAMPLES)
    return [(training, first) for first in range(writes)] + [(evaluation, first) for first in range(len(disk.writes))]


def _config() -> Any:
    return load_config(str(RECIPE), SHORT)


@functools.cache
def _whole(ground: Ground) -> Path:
    folder = ground.folder / "disks"
    train(_config(), folder, jax.devices()[:1])
    return folder


@functools.cache
def _metrics(ground: Ground) -> dict[str, Any]:
    return untimed(evaluate(load_run(_whole(ground)), num_samples=SAMPLES))


def training(ground: Ground, first: int, reason: int) -> str:
    with ground.place() as folder, ground.place() as again:
        disk = Disk(folder, first, reason)
        try:
            with disk.mounted():
                train(_config(), folder, jax.devices()[:1])
            if len(disk.writes) > first:
                raise Wrong("nothing was said")
            return "right"  # how many writes there are depends on how threads take turns: this time there were fewer
        except UserError as error:
            if ": cannot be written (" not in str(error) or "\n" in str(error):
                raise Wrong(str(error)) from None
        if folder.exists():  # as another process finds it: threads of the write that failed may still be at work here
            shutil.copytree(folder, again, ignore=shutil.ignore_patterns("*orbax-checkpoint-tmp*"))
        train(_config(), again, jax.devices()[:1])
        if (digests(again), read_metrics(again)) != (digests(_whole(ground)), read_metrics(_whole(ground))):
            raise Wrong(f"goes on to {digests(again)}, not {digests(_whole(ground))}")
    return "refused"


def evaluation(ground: Ground, first: int, reason: int) -> str:
    expected = _metrics(ground)
    with ground.place(_whole(ground)) as folder:
        path = folder / "eval" / "2" / "metrics.json"
        before = path.read_text()
        with Disk(folder, first, reason).mounted():
            found = untimed(evaluate(load_run(folder), num_samples=SAMPLES))
        if found != expected:
            raise Wrong(f"measured {found}, not {expected}")
        if path.read_text() != before and untimed(json.loads(path.read_text())) != expected:
            raise Wrong("metrics.json is neither what it was nor what was measured")
    return "right"


def small_disk(ground: Ground, rng: Any, number: int) -> str:
    """Commands on a file system of a size that is drawn, and once more when it has grown."""
    name = ("train", "evaluate", "sweep")[number % 3]
    begun = BEFORE.get(name)
    ground.whole(name)
    with ground.place() as folder, _mounted(folder, LARGE) as grow:
        if begun:
            shutil.copytree(ground.whole(begun), folder, dirs_exist_ok=True)
        used = sum(path.stat().st_blocks for path in folder.rglob("*")) // 2
        wanted = sum(path.stat().st_blocks for path in ground.whole(name).rglob("*")) // 2
        grow(used + int(rng.integers(SMALL, wanted - used)))
        status, output, errors = ended(ground.start(COMMANDS[name](folder)))
        if status == 2 and "cannot be written (" not in errors.splitlines()[-1]:
            raise Wrong(f"{name}: {errors[-1000:]}")
        if status not in (0, 2) or (name == "evaluate" and "fd_gen" not in output):
            raise Wrong(f"{name}: status {status}: {errors[-1000:]}")
        grow(LARGE)
        ground.call(COMMANDS[name](folder))
        ground.check(name, folder)
    return "refused" if status else "right"


@contextmanager
def _mounted(folder: Path, size: int) -> Iterator[Any]:
    """A file system in memory, of so many kilobytes; gives a function that changes that number."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", folder], check=True, capture_output=True)

    def grow(size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}k", folder], check=True, capture_output=True)

    try:
        yield grow
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def can_mount() -> bool:
    """Whether this person may mount a file system in memory."""
    try:
        with _mounted(Path(tempfile.mkdtemp()) / "mounted", SMALL):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False
