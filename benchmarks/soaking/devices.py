"""The same run on 1, 2, 3, 4 and 8 devices, on two processes, and on two processes of which one is killed."""

import socket
import subprocess
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiment_jax.runs.finished import load_finished
from soaking import Wrong
from soaking.ground import COMMANDS, LIMIT, STAGES, Ground, ended, kill

COUNTS = 2, 3, 4, 8
CLOSE = 1e-5


def trial(ground: Ground, rng: Any, number: int) -> tuple[str, float]:
    kind = (*COUNTS, "processes", "killed")[number % (len(COUNTS) + 2)]
    with ground.place() as folder:
        if kind == "killed":
            _kill_one(ground, folder, rng)
        if kind == "processes":
            results = [ended(process) for process in _two(ground, folder)]
            if any(status for status, _, _ in results):
                raise Wrong(f"two processes: {results}")
        else:
            ground.call(COMMANDS["train"](folder), devices=1 if kind == "killed" else kind)
        return "right", _difference(folder, ground.whole("train"), str(kind))


def _two(ground: Ground, folder: Path) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    joined = ["--coordinator", address, "--num_processes", 2, "--process_index"]
    return [ground.start([*COMMANDS["train"](folder), *joined, index]) for index in range(2)]


def _kill_one(ground: Ground, folder: Path, rng: Any) -> None:
    """Kills one of two, at any moment after both have begun; the other must end by itself."""
    both = _two(ground, folder)
    dies, stays = rng.permutation(2)
    try:
        both[dies].wait(rng.uniform(2.0, 2.0 * ground.seconds("train")))
    except subprocess.TimeoutExpired:
        kill(both[dies])
    try:
        both[stays].communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        raise Wrong("one of two processes was killed, and the other waits for ever") from None
    finally:
        kill(both[stays])


def _difference(folder: Path, whole: Path, kind: str) -> float:
    """By how much parameters of two runs differ at most, relative to those beyond 1; raises Wrong beyond CLOSE."""
    largest = 0.0
    for stage in STAGES:
        found, expected = (load_finished(each, stage, dict)[0] for each in (folder, whole))
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            largest = max(largest, float((np.abs(one - other) / np.maximum(1.0, np.abs(other))).max()))
    if largest > CLOSE:
        raise Wrong(f"{kind}: parameters differ by {largest:.1e}")
    return largest
