"""The C library's memory."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of mallopt(3)


def keep_freed_pages() -> None:
    """What a step gives back is kept for the next one, in place of being returned to the system and cleared anew.

    On CPU, XLA asks for the memory of a program at every call. Above 32 MB, glibc returns that, and the faults of
    its pages take a fifth of a step of a convolutional stage (benchmarks/README.md). Kept are pieces below 1 GB, up to
    2 GB in all. Nothing happens where the C library is another. For the entry scripts: it is of the whole process.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_ARENA_MAX, 1)  # the other arenas hold no piece above 64 MB
        library.mallopt(_MMAP_THRESHOLD, 2**30)
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
