"""The user's cache folder: judges, and compiled programs."""

import logging
import os
import tempfile
from pathlib import Path

import jax

log = logging.getLogger(__name__)
LARGEST = 2 * 1024**3  # bytes of compiled programs; beyond that the least recently used are deleted


def folder(name: str) -> Path:
    """$XDG_CACHE_HOME/lsdm_jax/NAME, by default under ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "lsdm_jax" / name


def keep_compiled_programs() -> None:
    """Keeps programs that took a second or more to compile on disk, so that the next process need not compile them.

    A JAX_COMPILATION_CACHE_DIR that is set stays. Where the folder cannot be written a line says so, and programs are
    not kept. This changes JAX for the whole process, so the entry scripts call it.
    """
    if not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(folder("compiled")))
        jax.config.update("jax_compilation_cache_max_size", LARGEST)
    place = jax.config.jax_compilation_cache_dir
    if "://" in place:
        return
    try:
        os.makedirs(place, exist_ok=True)
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(4096))
    except OSError as error:
        log.warning("%s: cannot be written (%s); compiled programs are not kept", place, error.strerror)
        jax.config.update("jax_enable_compilation_cache", False)
