"""Running a reader on hostile files in a process of its own, in bounded time and memory."""

import os
import pickle
import resource
import select
import signal
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch

MEMORY = 2**29  # bytes that a file of kilobytes may take
SECONDS = 20
LONGEST_MESSAGE = 2000  # characters, two paths included

READ, REFUSED = "read", "refused"


@dataclass(frozen=True)
class Outcome:
    """What became of one input: `READ`, `REFUSED` in one line, or what went wrong."""

    kind: str
    message: str = ""

    @property
    def survived(self) -> bool:
        """Whether a user would call it right."""
        return self.kind in (READ, REFUSED)


def attempt(call: Callable[[], Any]) -> Outcome:
    """The outcome of a call in this process."""
    try:
        call()
    except (ValueError, OSError) as error:  # which a command prints as one line
        line = " ".join(str(error).split())
        if not line or len(line) > LONGEST_MESSAGE:
            return Outcome("a message of wrong length", line[:200])
        return Outcome(REFUSED, line)
    except BaseException as error:  # anything else is the traceback of a user
        return Outcome(type(error).__name__, " ".join(str(error).split())[:200])
    return Outcome(READ)


def outcomes(
    calls: Sequence[Callable[[], Any]], memory: int = MEMORY, seconds: float = SECONDS
) -> Iterator[Outcome]:
    """Outcome of every call, in order, from child processes that a bad call may take with it.

    Args:
        memory: bytes that a child may allocate besides those of this process.
        seconds: of one call.
    """
    done = 0
    while done < len(calls):
        for outcome in _in_child(calls[done:], memory, seconds):
            done += 1
            yield outcome


def bounded(call: Callable[[], Any], memory: int = MEMORY, seconds: float = SECONDS) -> Outcome:
    """Outcome of one call."""
    [outcome] = outcomes([call], memory, seconds)
    return outcome


def _in_child(calls: Sequence[Callable[[], Any]], memory: int, seconds: float) -> Iterator[Outcome]:
    """Outcomes until the calls are done, or up to the first one that ends the process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _work(calls, memory, writing)
    os.close(writing)
    try:
        for _ in calls:
            outcome = _receive(reading, seconds)
            if outcome is None:
                os.kill(child, signal.SIGKILL)
                yield Outcome(f"no answer within {seconds:g} s")
                return
            yield outcome
            if outcome.kind == "ended":
                return
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _work(calls: Sequence[Callable[[], Any]], memory: int, writing: int) -> None:
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    limit = _address_space() + memory
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    cv2.setNumThreads(0)  # the threads of the parent are not here
    torch.set_num_threads(1)
    try:
        for call in calls:
            content = pickle.dumps(attempt(call))
            os.write(writing, struct.pack("I", len(content)) + content)
    finally:
        os._exit(0)


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _receive(reading: int, seconds: float) -> Outcome | None:
    """The next outcome, `ended` if the process has, None if there is none in time."""
    deadline = time.monotonic() + seconds
    content = b""
    while len(content) < 4 or len(content) < 4 + struct.unpack("I", content[:4])[0]:
        wanted = 4 if len(content) < 4 else 4 + struct.unpack("I", content[:4])[0]
        if not select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return None
        part = os.read(reading, wanted - len(content))
        if not part:
            return Outcome("ended", "the process crashed")
        content += part
    return pickle.loads(content[4:])
