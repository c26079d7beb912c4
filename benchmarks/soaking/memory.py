"""How the memory of a training grows by its rows and checkpoints: steps are stubs, all else is the project's.

A row every step, a checkpoint and a validation every thousand. The growth is from a tenth of the steps to the last.
"""

import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from experiment_jax.runs.checkpoints import Checkpoints
from experiment_jax.training import loop
from experiment_jax.training.logger import Logger
from soaking import Wrong

FEW = 50.0  # megabytes
PROGRAM = "from soaking import memory; memory.main()"  # in a process of its own, whose memory is nobody else's


def trial(ground: Any, rng: Any, number: int) -> tuple[str, float]:
    with ground.place() as folder:
        benchmarks = Path(__file__).resolve().parents[1]
        paths = f"{benchmarks}:{benchmarks.parent}"
        grown = float(ground.call(["-c", PROGRAM, folder, ground.steps], PYTHONPATH=paths))
    if grown > FEW:
        raise Wrong(f"{ground.steps} steps: grown by {grown:.1f} MB")
    return "right", grown


def resident() -> float:
    """Megabytes that this process has in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def run(folder: Path, total: int) -> float:
    """Trains stubs; returns the growth in megabytes."""
    state = {"w": np.zeros(1000, np.float32)}
    before = []

    class Steps:
        def __call__(self, state: Any, step: int) -> tuple[Any, dict[str, np.ndarray]]:
            if step == total // 10:
                before.append(resident())
            return state, {"loss": np.float32(step), "norm": np.float32(1.0)}

        def start(self) -> Any:
            return state

        def local(self, tree: Any) -> Any:
            return tree

    schedule = SimpleNamespace(total=total, dispatch=1, log=1, checkpoint=1000)
    origin = {"stage": "stub", "upstream": {}, "settings": {}}
    picture = {"picture": np.zeros((8, 8, 3), np.uint8)}
    with closing(Checkpoints(folder, origin, 2, "", state)) as kept:
        logger = Logger("stub", folder, total, kept.latest(), lambda state: ({"score": 1.0}, picture), bar=False)
        with closing(logger):
            loop.run(Steps(), schedule, logger, kept, lambda step: None)
    return resident() - before[0]


def main() -> None:
    print(run(Path(sys.argv[1]), int(sys.argv[2])))
