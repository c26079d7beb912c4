"""The process of a command, prepared: its log, the cache of compiled programs, the CPU backend, too little memory."""

import contextlib
import logging
import sys
from collections.abc import Iterator

from experiment_jax.devices import cache, cpu, failures

LESS_MEMORY = "take a device with more, or end the other programs on it; data.resident=false leaves images on disk"


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """Prepares the process before anything is computed; raises UserError where memory does not suffice inside."""
    # force: importing some libraries has already given the root logger a handler of its own.
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr, force=True)
    # Data set readers warn about optional packages; what goes wrong in writing checkpoints is raised as well as logged.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    logging.getLogger("experiment_jax").setLevel(logging.INFO)
    cache.keep_compiled_programs()
    cpu.convolve_on_all_cores()
    cpu.keep_freed_pages()
    with failures.memory("this machine", LESS_MEMORY):
        yield
