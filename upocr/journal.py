"""A file of JSON lines that is appended to as a run goes, and outlives the run."""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from upocr.files import dump_json
from upocr.lock import describe_process, lock

Entry = dict[str, Any]

PROCESS, PID = "process", "pid"  # keys of the first line
END = "end"  # key of the last line of a process that was not killed


class Journal:
    """What a process writes; nothing is lost if it is killed, and its lock tells whether it lives.

    Args:
        path: created, with its folder.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("xb", buffering=0)
        while not lock(self._file.fileno()):  # while another process looks whether this one lives
            time.sleep(0.01)
        self.append({PROCESS: describe_process(), PID: os.getpid()})

    def append(self, entry: Entry) -> None:
        """Write a line, which readers see at once; raises OSError if it cannot be written."""
        line = dump_json(entry)
        while line:
            line = line[self._file.write(line) :]

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.append({END: True})
        finally:
            self._file.close()


class Reader:
    """Reads a journal while it grows, or after its process is gone.

    Args:
        path: may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._position = 0

    def entries(self) -> Iterator[Entry]:
        """Lines since the last call; an unfinished last line is left for later."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._position)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._position += len(line)
                with contextlib.suppress(ValueError):  # what a power cut leaves
                    yield json.loads(line)
