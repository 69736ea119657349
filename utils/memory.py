"""Memory of a process: how much it took at most, and how the C library keeps what is freed."""

import ctypes
import sys
from pathlib import Path

# Parameters of glibc's `mallopt`, see its manual page.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def peak_memory() -> float:
    """Most bytes that this process ever held in memory; NaN on Windows."""
    status = Path("/proc/self/status")
    if status.exists():  # `getrusage` counts what the parent held when it started this process
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) * 2**10
    try:
        import resource  # noqa: PLC0415 - does not exist on Windows
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 2**10)  # bytes there, KiB elsewhere


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
