"""One run at a time per folder of results."""

import contextlib
import importlib
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from upocr.quote import quote

fcntl: Any = importlib.import_module("fcntl") if os.name == "posix" else None
INTERVAL = 0.1  # seconds between two attempts
LOCK = ".lock"  # file in a folder of results that names the run


@contextlib.contextmanager
def locked(folder: Path, patience: float = 0) -> Iterator[None]:
    """Hold a folder of results, which is created if necessary.

    patience: seconds to wait for a run that is about to end.

    The kernel releases the lock of a process that ends, in whatever way. File systems that know no
    locks, and Windows, go without. Raises ValueError that names the run that holds the folder.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, expected a folder")
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    path = folder / LOCK
    descriptor = _acquire(path, time.monotonic() + patience)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, describe_process().encode(errors="replace"), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path, deadline: float) -> int:
    """File descriptor of the locked file."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if not lock(descriptor):
            if time.monotonic() < deadline:
                os.close(descriptor)
                time.sleep(INTERVAL)
                continue
            holder = os.pread(descriptor, 1000, 0).decode(errors="replace")
            os.close(descriptor)
            raise ValueError(
                f"{path.parent} is in use by {quote(holder) if holder else 'another run'}: wait "
                "for it, or choose another --output_dir"
            )
        if _is_at(path, descriptor):
            return descriptor
        os.close(descriptor)  # of a run that has just ended and removed its file


def lock(descriptor: int) -> bool:
    """Lock a file until it is closed; False if another process holds it.

    True as well where there are no locks.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of a file."""
    with path.open("r+b") as file:  # some network file systems lock nothing that is read only
        return not lock(file.fileno())


def describe_process() -> str:
    """This process, for messages."""
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return f"process {os.getpid()} on {socket.gethostname()}: {command}"
