"""The two sides of a table: what cannot run is said in a line, and the other side is timed all the same."""

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import clock  # of the folder above
import jax

from parts.report import Report

Side = Callable[[], object]
OUT_OF_MEMORY = "out of memory"
Result = TypeVar("Result")
INSTALL = "pip install -r requirements-bench.txt"


def timed(
    sides: Mapping[str, Callable[[], Side]], rounds: int, at_least: float = 0.1
) -> tuple[dict[str, float], dict[str, str]]:
    """The shortest of several rounds of each side, ms a call, and why a side has no time.

    Args:
        sides: what makes each side, compiled at its first call, which is left out.
        rounds: in each of them every side has its turn.
        at_least: seconds of a turn.
    """
    ready, reasons = {}, {}
    for name, make in sides.items():
        try:
            side = make()
            clock.wait(side())
            ready[name] = side
        except Exception as error:
            reasons[name] = reason(error)
    try:
        times = clock.milliseconds(list(ready.values()), rounds, at_least) if ready else []
    except Exception as error:  # alone each had room
        return {}, reasons | dict.fromkeys(ready, reason(error))
    return {name: float(time) for name, time in zip(ready, times, strict=True)}, reasons


def reason(error: BaseException) -> str:
    """An error in one line; "out of memory", whoever says it."""
    text = str(error).strip()
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower():
        return OUT_OF_MEMORY
    return f"{type(error).__name__}: {text.partition(chr(10))[0][:300]}" if text else type(error).__name__


def attempted(what: str, function: Callable[[], Result], report: Report) -> Result | None:
    """What a function returns; None, and a note, where it raises: what is good to have and no reason to stop."""
    try:
        return function()
    except Exception as error:
        report.note(f"{what}: {reason(error)}.")
        return None


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """None where either was not measured."""
    return numerator / denominator if numerator and denominator else None


def lacking(device: jax.Device) -> str:
    """Why PyTorch is not timed beside JAX on that device; "": it is."""
    for package in ("torch", "geomloss"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed: {INSTALL}"
    import torch

    if device.platform != "cpu" and not (device.platform == "gpu" and torch.cuda.is_available()):
        return f"torch {torch.__version__} sees no CUDA device, and JAX computes on {device.device_kind}"
    return ""


@contextlib.contextmanager
def pytorch(device: jax.Device, tf32: bool) -> Iterator[None]:
    """Inside, PyTorch computes on the kind of device that JAX does.

    Args:
        device: JAX's.
        tf32: products of float32 matrices may be rounded to TF32, as JAX does by default.
    """
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.set_default_device("cpu" if device.platform == "cpu" else "cuda")
    before, torch.backends.cuda.matmul.allow_tf32 = torch.backends.cuda.matmul.allow_tf32, tf32
    try:
        yield
    finally:
        torch.set_default_device("cpu")
        torch.backends.cuda.matmul.allow_tf32 = before
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # JAX takes its memory from the same card
