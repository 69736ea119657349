"""Photographs and fonts below folders of the user."""

from collections.abc import Collection, Sequence
from pathlib import Path


def find_files(folders: Sequence[Path], suffixes: Collection[str], kind: str) -> list[Path]:
    """Files with one of the suffixes, in any case, at any depth, by name; hidden files are skipped.

    Raises ValueError naming a missing folder; `kind` names the expected files.
    """
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"{folder}: missing folder of {kind}")
    files = {path for folder in folders for path in folder.rglob("[!.]*")}
    files = {path for path in files if path.suffix.lower() in suffixes and path.is_file()}
    return sorted(files, key=lambda path: (path.name, str(path)))
