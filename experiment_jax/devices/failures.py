"""Devices that are missing or too small, as one line for who chose them in place of JAX's own errors."""

import contextlib
from collections.abc import Iterator

import jax

from experiment_jax.errors import UserError


def check_found() -> None:
    """Raises UserError where JAX finds no device, as where JAX_PLATFORMS names a kind that this machine has not.

    It starts the devices, so that `processes.join` comes before.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # an assertion: JAX knows the kind and has no plugin for it
        named = jax.config.jax_platforms
        reason = str(error).partition("\n")[0].partition(": ")[2] or "JAX is installed without it"
        raise UserError(
            f"{f'JAX_PLATFORMS={named}: ' if named else ''}there is no such device ({reason.partition(' (set')[0]}); "
            f"type JAX_PLATFORMS=cpu, or install JAX for it, as make train ACCELERATOR=cuda13 does"
        ) from None


@contextlib.contextmanager
def memory(what: str, advice: str) -> Iterator[None]:
    """Raises UserError in place of what JAX or NumPy raises inside where memory does not suffice.

    Args:
        what: is computed inside.
        advice: what to do about it.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # JAX's own is a RuntimeError
        reason = str(error).partition("\n")[0]
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in reason:
            raise
        reason = reason.rpartition("RESOURCE_EXHAUSTED: ")[2].rstrip(".")
        raise UserError(f"{what}: there is too little memory ({reason}); {advice}") from error
