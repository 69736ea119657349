"""Processes that share a run: started by torchrun, or by anything that sets RANK and WORLD_SIZE."""

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upocr.files import atomic_path, read_json, write_json
from upocr.plan import RUN_FOLDER, Plan, read_plan

INTERVAL = 0.1  # seconds between two looks
PLAN = "plan.json"


@dataclass(frozen=True)
class Launch:
    """The processes of a run; they meet in the folder of results and need nothing else.

    Args:
        rank: number of this process; 0 makes the plan and writes the records.
        size: number of processes.
        local_size: number of processes on this host.
        timeout: seconds that they wait for each other at the start.
    """

    rank: int = 0
    size: int = 1
    local_size: int = 1
    timeout: float = 300

    @classmethod
    def from_environment(cls, timeout: float, environment: Mapping[str, str]) -> "Launch":
        """RANK, WORLD_SIZE and LOCAL_WORLD_SIZE; one process without them.

        Raises ValueError for values that do not fit.
        """
        if not {"RANK", "WORLD_SIZE"} <= set(environment):
            return cls(timeout=timeout)
        texts = [environment[name] for name in ("RANK", "WORLD_SIZE")]
        texts.append(environment.get("LOCAL_WORLD_SIZE", "1"))
        if not all(text.isdecimal() for text in texts) or int(texts[0]) >= int(texts[1]):
            raise ValueError(
                f"RANK is {texts[0]!r}, WORLD_SIZE {texts[1]!r} and LOCAL_WORLD_SIZE {texts[2]!r}: "
                "expected numbers, RANK below WORLD_SIZE; without them, one process works alone"
            )
        rank, size, local_size = map(int, texts)
        return cls(rank, size, max(1, local_size), timeout)

    def num_threads(self, asked: int) -> int:
        """Threads of this process: those asked for, else its share of the cores."""
        if asked or self.local_size == 1:
            return asked
        return max(1, num_cores() // self.local_size)

    def publish(self, output_dir: Path, plan: Plan, settings: dict[str, Any]) -> None:
        """As process 0: wait for the others and tell them what to do.

        settings: of the run, which theirs have to equal. Raises ValueError if one does not come.
        """
        root = output_dir / RUN_FOLDER
        tokens: dict[str, str] = {}
        for _ in self._waiting():
            tokens = {str(rank): _read(_hello(root, rank)) for rank in range(1, self.size)}
            if all(tokens.values()):
                break
        missing = [rank for rank, token in tokens.items() if not token]
        if missing:
            raise ValueError(
                f"process {missing[0]} of {self.size} has not come to {output_dir} within "
                f"{self.timeout:g} s: all hosts must see this folder, and all processes start "
                "together (--join_timeout); without RANK and WORLD_SIZE, one process works alone"
            )
        if tokens:
            write_json(root / PLAN, {"tokens": tokens, "settings": settings, **plan.content()})

    def join(self, output_dir: Path, settings: dict[str, Any]) -> Plan:
        """As another process: receive the plan of process 0.

        Raises ValueError if there is none, or if it is for other settings.
        """
        root, token = output_dir / RUN_FOLDER, secrets.token_hex(8)
        try:
            for _ in self._waiting():
                _say_hello(_hello(root, self.rank), token)
                content = _read_plan(root / PLAN)
                if content.get("tokens", {}).get(str(self.rank)) == token:
                    break
            else:
                raise ValueError(
                    f"process 0 of {self.size} has not come to {output_dir} within "
                    f"{self.timeout:g} s: see its message, and --join_timeout"
                )
        finally:
            _hello(root, self.rank).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # others need it
                root.rmdir()
        if content["settings"] != settings:
            raise ValueError(
                f"process {self.rank} has other options or other weights than process 0: start all "
                "processes with the same command and the same files"
            )
        return read_plan(output_dir, content)

    def _waiting(self) -> Iterator[None]:
        """Take turns until the time is over; once without time."""
        end = time.monotonic() + self.timeout
        yield
        while time.monotonic() < end:
            time.sleep(INTERVAL)
            yield


def num_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _hello(root: Path, rank: int) -> Path:
    """Where a process says that it is there, with a token that no earlier run has seen."""
    return root / f"{rank}.hello"


def _say_hello(path: Path, token: str) -> None:
    """Again if need be: process 0 removes everything that it finds at its start."""
    if _read(path) != token:
        try:
            with atomic_path(path) as temporary:
                temporary.write_text(token, encoding="utf-8")
        except (FileNotFoundError, FileExistsError):  # the folder was removed in between
            return


def _read_plan(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except ValueError:  # not there yet
        return {}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
