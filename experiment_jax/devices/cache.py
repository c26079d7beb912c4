"""The user's cache folder: judges, and compiled programs."""

import os
from pathlib import Path

import jax

LARGEST = 2 * 1024**3  # bytes of compiled programs; the least used go


def folder(name: str) -> Path:
    """$XDG_CACHE_HOME/lsdm_jax/NAME, by default under ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "lsdm_jax" / name


def keep_compiled_programs() -> None:
    """Programs that take a second or more to compile are kept, and found again by the next process that needs them.

    Whoever has set JAX_COMPILATION_CACHE_DIR keeps that. For the entry scripts: it changes JAX for the whole process.
    """
    if not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(folder("compiled")))
        jax.config.update("jax_compilation_cache_max_size", LARGEST)
