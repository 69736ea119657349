"""Atomic files, text, JSON and checksums."""

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

MAX_TEXT = 2**28  # bytes of a text file


def check_file(path: Path) -> None:
    """Raise ValueError for a pipe, socket or device, which a reader could wait for forever.

    Of the other things that are no files, opening raises OSError.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # missing, a circle of links, a name with a null character
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ValueError(f"{path}: is a pipe, socket or device, expected a file")


def resolved(path: Path) -> Path:
    """The absolute path without links, as `Path.resolve`; a circle of links stays as it is."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # a null character
        return path.absolute()


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


def read_text(path: Path, most: int = MAX_TEXT, errors: str = "strict") -> str:
    """Text of a UTF-8 file, with or without a byte order mark; ValueError naming it.

    Args:
        path: of a file of at most `most` bytes.
        errors: as of `bytes.decode`.
    """
    check_file(path)
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot read this file ({error.strerror})") from None
    if len(content) > most:
        raise ValueError(f"{path}: larger than {most} bytes")
    try:
        return content.decode("utf-8-sig", errors)
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a UTF-8 text file") from None


def _integer(digits: str) -> int:
    """An integer of a file, of at most 64 bits: larger ones fail as soon as they are divided."""
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise ValueError("an integer of more than 64 bits")
    return int(digits)


def read_json(path: Path) -> Any:
    """Content of a JSON file; ValueError naming it if it is missing or not JSON."""
    text = read_text(path)
    try:
        return json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError):  # nested too deep
        raise ValueError(f"{path}: not JSON") from None


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()
