"""What makes the CPU backend quick; for the entry scripts, before they compute, as it is of the whole process."""

import ctypes
import os

import jax

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_LIBRARY = "--xla_cpu_experimental_ynn_fusion_type"  # what XLA leaves to YNNPACK


def keep_freed_pages() -> None:
    """What a step gives back is kept for the next one, in place of being returned to the system and cleared anew.

    On CPU, XLA asks for the memory of a program at every call. Above 32 MB, glibc returns that, and the faults of
    its pages take a fifth of a step of a convolutional stage. Pieces above 64 MB are kept for the main thread alone,
    which therefore runs programs itself: that costs a step the millisecond in which the next would be prepared. (One
    arena for all threads would do too, and makes small steps wait for its lock.) Nothing is kept where the C library
    is another.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_MMAP_THRESHOLD, 2**30)
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        jax.config.update("jax_cpu_enable_async_dispatch", False)


def convolve_on_all_cores() -> None:
    """Convolutions go to Eigen, which shares one among all cores; jaxlib 0.10 gives them to YNNPACK, which does not.

    Sums are then taken in another order. So this is for programs that train and do not evaluate: judges are trained
    where they are first needed, in an evaluation, and one that differs in its last bits is another judge.
    Of another jaxlib it is not known, and a flag that XLA does not know ends the process. A choice of the user's in
    XLA_FLAGS is left alone.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if jax.__version_info__[:2] == (0, 10) and _LIBRARY not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_LIBRARY}=-LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION".strip()
