"""SIGTERM, as sent before a machine is taken away: answered at once, or between two steps."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: nothing is lost, start again to go on

_requested = False
_postponed = False


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Exit with `EXIT_CODE` on SIGTERM, unless `postponed`; does nothing outside the main thread.

    Without this, SIGTERM kills the process wherever it is.
    """
    global _requested  # noqa: PLW0603 - signals are of the whole process
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _requested = False
    before = signal.signal(signal.SIGTERM, _handle)
    try:
        yield
    except SystemExit:  # the process ends, and another SIGTERM does not change its exit code
        before = signal.SIG_IGN
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _handle(number: int, frame: Any) -> None:
    global _requested
    is_first, _requested = not _requested, True
    if is_first and not _postponed:
        sys.exit(EXIT_CODE)


def requested() -> bool:
    """Whether SIGTERM has arrived."""
    return _requested


def postponed() -> contextlib.AbstractContextManager[None]:
    """A context in which SIGTERM is noted for `requested` and ends nothing."""
    return _switch(True)


def at_once() -> contextlib.AbstractContextManager[None]:
    """Within `postponed`, a context in which SIGTERM ends the process, also one from before."""
    return _switch(False)


@contextlib.contextmanager
def _switch(postpone: bool) -> Iterator[None]:
    global _postponed  # noqa: PLW0603
    before, _postponed = _postponed, postpone
    try:
        if _requested and not postpone:
            sys.exit(EXIT_CODE)
        yield
    finally:
        _postponed = before
