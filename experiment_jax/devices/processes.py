"""Several processes, usually one a host, that train one run together.

Each reads the same config and the same data, and their devices form one mesh. All processes do all host work at the
same time, even work that only one of them needs. Otherwise the others would wait in a collective until it is done, and
collectives time out. Values of process 0 count, and only process 0 writes, into a folder that all of them see.
"""

import itertools
import pickle
from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from experiment_jax.errors import UserError

T = TypeVar("T")
_calls = itertools.count(1)  # of `preempted`, for the life of the process, as JAX counts them


def join(coordinator: str | None, count: int | None, index: int | None) -> None:
    """Makes this process one of several; to be called before anything touches a device.

    Args:
        coordinator: HOST:PORT of process 0; None: the cluster's environment (SLURM, Open MPI, TPU pods, Kubernetes)
            gives all three.
        count: how many processes there are.
        index: the number of this one, from 0.

    Raises:
        UserError: some of the three without the others, numbers that do not fit, or no cluster that gives them.
    """
    given = [value is not None for value in (coordinator, count, index)]
    if any(given) and not all(given):
        raise UserError("--coordinator, --num_processes and --process_index belong together; give all three")
    if all(given) and not 0 <= index < count:
        raise UserError(f"--process_index {index}: the processes are numbered from 0 to {count - 1}; give one of those")
    if all(given) and not coordinator.rpartition(":")[2].isdigit():
        raise UserError(f"--coordinator {coordinator}: give HOST:PORT, as in --coordinator {coordinator}:1234")
    jax.config.update("jax_cpu_collectives_implementation", "gloo")  # jaxlib has it on every platform
    try:
        jax.distributed.initialize(coordinator, count, index)
    except ValueError as error:
        raise UserError(
            f"--distributed: no cluster says who the processes are ({error}); "
            f"type --coordinator HOST:PORT --num_processes N --process_index I"
        ) from None


def several() -> bool:
    return jax.process_count() > 1


def is_first() -> bool:
    """Whether this is the process that writes."""
    return jax.process_index() == 0


def of_first(value: T) -> T:
    """The value of process 0, on every process. Values that each computes for itself may differ by rounding.

    Args:
        value: this process's own; of a type that pickle can hold, the same type on all.
    """
    if not several():
        return value
    content = np.frombuffer(pickle.dumps(value), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    content = multihost_utils.broadcast_one_to_all(content if is_first() else np.zeros(size, np.uint8))
    return pickle.loads(np.asarray(content).tobytes())


def agree(compute: Callable[[], T]) -> T:
    """`compute()` on every process. If one raises UserError, all do, so that none waits for a process that has left."""
    if not several():
        return compute()
    outcome, message = None, ""
    try:
        outcome = compute()
    except UserError as error:
        message = str(error)
    content = np.zeros(4096, np.uint8)
    encoded = np.frombuffer(message.encode()[: len(content)], np.uint8)
    content[: len(encoded)] = encoded
    for other in multihost_utils.process_allgather(content):
        if said := other.tobytes().rstrip(b"\0").decode(errors="replace"):
            raise UserError(message or said)
    return outcome


def any_of(flag: bool) -> bool:
    """Whether the flag is set on any process; all of them call this."""
    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag)))) if several() else flag


def preempted() -> bool:
    """Whether all processes are to stop now, because one of them got SIGTERM; true once, at the same call on all.

    Each of several processes calls this before every dispatch. They agree in the background on a call that none of
    them has made yet, so nobody waits for a device or for the others. That takes about a second.
    """
    return multihost_utils.reached_preemption_sync_point(next(_calls))
