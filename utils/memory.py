"""How the C library keeps memory that tensors no longer need."""

import ctypes
import sys

# Parameters of glibc's `mallopt`, see its manual page.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, for the next tensor, instead of giving it back.

    glibc gives every block of more than 32 MiB back to the system at once and asks for fresh pages
    for the next, which the system has to fill with zeros: of a training step on a CPU that is up to
    a third. The process then holds its peak until it ends. False, and nothing done, without glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, -1))
