"""Several processes, usually one a host, that train one run together.

Each reads the same config and the same data and gives its devices to one mesh. All do the same work on the host at the
same time, also what only one of them needs: whoever waits for another in a collective waits for seconds, not for the
length of a pass. What process 0 finds counts, and only process 0 writes, into a folder that all of them see.
"""

import pickle
from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from experiment_jax.errors import UserError

T = TypeVar("T")


def join(coordinator: str | None, count: int | None, index: int | None) -> None:
    """Makes this process one of several; to be called before anything touches a device.

    Args:
        coordinator: HOST:PORT of process 0; None: the cluster's environment (SLURM, Open MPI, TPU pods, Kubernetes)
            says this and the other two.
        count: of the processes.
        index: of this one, from 0.

    Raises:
        UserError: some of the three without the others, numbers that do not fit, or no cluster that says them.
    """
    given = [value is not None for value in (coordinator, count, index)]
    if any(given) and not all(given):
        raise UserError("--coordinator, --num_processes and --process_index belong together; give all three")
    if all(given) and not 0 <= index < count:
        raise UserError(f"--process_index {index}: the processes are numbered from 0 to {count - 1}; give one of those")
    if all(given) and not coordinator.rpartition(":")[2].isdigit():
        raise UserError(f"--coordinator {coordinator}: give HOST:PORT, as in --coordinator {coordinator}:1234")
    jax.config.update("jax_cpu_collectives_implementation", "gloo")  # the only one that is always there
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
    """The value of process 0, for all: what each has computed for itself may differ by rounding.

    Args:
        value: of this process; on all of the same kind, which pickle can hold.
    """
    if not several():
        return value
    content = np.frombuffer(pickle.dumps(value), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    content = multihost_utils.broadcast_one_to_all(content if is_first() else np.zeros(size, np.uint8))
    return pickle.loads(np.asarray(content).tobytes())


def agree(compute: Callable[[], T]) -> T:
    """`compute()`, which all processes call; a UserError of any is raised on all, and nobody waits for who has left."""
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
