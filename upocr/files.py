"""Atomic files, JSON and checksums."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it on success and is deleted on failure.

    Creates the folder if necessary.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path, os.getpid())
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_path(path: Path, process: int) -> Path:
    """Where a process writes what becomes `path`; left behind if it is killed."""
    return path.with_name(f".{path.name}.{process}.tmp")


def remove_temporaries(folder: Path, names: Sequence[str]) -> None:
    """Delete what killed processes have left of `atomic_path` anywhere in a folder.

    Only for a folder that no other process writes to.

    names: patterns of the files that were written, such as `*.png`.
    """
    for name in names:
        for path in folder.rglob(f".{name}.*.tmp"):
            if path.suffixes[-2][1:].isdecimal():  # the number of the process
                path.unlink(missing_ok=True)


def write_json(path: Path, content: dict | list) -> None:
    """Write indented JSON atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(dump_json(content, indent=2))


def dump_json(content: dict | list, indent: int | None = None) -> bytes:
    r"""JSON in UTF-8, and its line end. Bytes of file names that are not UTF-8 become `\udcXX`."""
    text = json.dumps(content, indent=indent, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def read_json(path: Path) -> Any:
    """Content of a JSON file; ValueError naming it if it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (ValueError, RecursionError):  # nested too deep
        raise ValueError(f"{path}: not JSON") from None


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()
