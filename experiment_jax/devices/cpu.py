"""Settings that make JAX's CPU backend faster. They change the whole process, so the entry scripts call them first."""

import ctypes
import os

import jax

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_LIBRARY = "--xla_cpu_experimental_ynn_fusion_type"  # what XLA leaves to YNNPACK


def keep_freed_pages() -> None:
    """Makes glibc keep the memory that a step frees, for the next step to use.

    XLA allocates a program's memory at every call. By default glibc returns pieces above 32 MB to the system, and
    clearing them again takes a fifth of a convolutional step. glibc keeps pieces above 64 MB for the main thread only,
    so programs run in the main thread: asynchronous dispatch is switched off, which costs about a millisecond a step.
    (One arena for all threads would avoid that, but small steps then wait for its lock.) With another C library
    nothing is changed.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_MMAP_THRESHOLD, 2**30)
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        jax.config.update("jax_cpu_enable_async_dispatch", False)


def convolve_on_all_cores() -> None:
    """Makes XLA compute convolutions with Eigen, which uses all cores; jaxlib 0.10 uses YNNPACK, on one core.

    Eigen adds numbers in another order, so results differ in their last bits. Both entry scripts call this. Set only
    for jaxlib 0.10: XLA aborts on flags that it does not know, and other versions were not tested. A choice that is
    already in XLA_FLAGS stays.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if jax.__version_info__[:2] == (0, 10) and _LIBRARY not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_LIBRARY}=-LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION".strip()
