"""Memory that glibc keeps after tensors were freed, given back to the system."""

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

STATM = Path("/proc/self/statm")
SLACK = 2**30  # bytes that may come together before it is worth the time to give them back


class FreedMemory:
    """Gives freed memory back whenever more than `slack` bytes of it may have come together.

    The tensors of a training step on a CPU leave holes in the heap, which the next step's do not
    all fit into: without this a step of the paper's network takes up to half as much again. Does
    nothing where there is no glibc.

    Args:
        slack: bytes.
    """

    def __init__(self, slack: int = SLACK) -> None:
        self._slack = slack
        self._trim = _malloc_trim()
        self._floor = 0  # bytes held after the last time

    def give_back(self) -> None:
        """To be called when little is alive, as after a step."""
        if self._trim and resident_bytes() > self._floor + self._slack:
            self._trim(0)
            self._floor = resident_bytes()


def resident_bytes() -> int:
    """What this process holds in memory; 0 on systems that do not say."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if STATM.exists() else 0


def _malloc_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
