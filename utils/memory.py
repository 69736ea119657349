"""Memory of a process: its peak, and an allocator that keeps freed pages."""

import ctypes
import os
import sys
from pathlib import Path

# Parameters of glibc's `mallopt`, see its manual page.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def peak_memory() -> float:
    """Peak resident memory of this process in bytes; NaN on Windows."""
    status = Path("/proc/self/status")
    if status.exists():  # `getrusage` includes the peak of the parent
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) * 2**10
    try:
        import resource  # noqa: PLC0415 - does not exist on Windows
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 2**10)  # bytes there, KiB elsewhere


def resident_memory(process: int | str = "self") -> float:
    """Resident memory of a process now, in bytes; NaN where unknown."""
    path = Path(f"/proc/{process}/statm")
    if not path.exists():
        return float("nan")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def available_memory() -> float:
    """Memory in bytes that new processes can use without swapping; infinite where unknown."""
    info = Path("/proc/meminfo")
    if not info.exists():
        return float("inf")
    lines = dict(line.split(":", 1) for line in info.read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 2**10


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory for the next tensor instead of returning it to the system.

    By default, glibc returns every freed block above 32 MiB at once, and the system has to zero
    fresh pages for the next one: up to a third of a training step on a CPU. In exchange, the
    process holds its peak memory until it ends. Returns False, without effect, if there is no
    glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, -1))
