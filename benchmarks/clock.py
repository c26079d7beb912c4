"""How both sides of a table are timed: in turn, in one run, so that whatever else the machine does falls on both."""

import sys
import time
from collections.abc import Callable, Sequence

import jax
import numpy as np


def milliseconds(sides: Sequence[Callable[[], object]], rounds: int = 7, at_least: float = 0.05) -> np.ndarray:
    """The shortest of several rounds of each side, ms a call.

    Args:
        sides: what to time; what a call returns is waited for.
        rounds: in each of them every side has its turn.
        at_least: a turn is as many calls as take that many seconds, after one that is left out: it pays for the
            memory that the side before it gives back.
    """
    for side in sides:
        side()
    calls = [max(1, int(at_least / max(_turn(side, 1), 1e-6))) for side in sides]
    times = [[_turn(side, count) for side, count in zip(sides, calls, strict=True)] for _ in range(rounds)]
    return 1e3 * np.min(times, axis=0)


def wait(result: object) -> None:
    """Waits for what a call returned: for JAX's arrays, and for all that PyTorch computes on a GPU."""
    jax.block_until_ready(result)
    torch = sys.modules.get("torch")  # whoever computes with it has imported it
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()


def _turn(side: Callable[[], object], calls: int) -> float:
    wait(side())
    start = time.perf_counter()
    for _ in range(calls):
        last = side()
    wait(last)
    return (time.perf_counter() - start) / calls
