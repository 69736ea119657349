"""`results.json`: one record per input file, kept from run to run."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from upocr.files import read_json, write_json
from upocr.inputs import resolve

RESULTS_FILE = "results.json"

Record = dict[str, Any]


def read_results(path: Path) -> list[Record]:
    """Records of earlier runs; ValueError for a file that is missing or of another kind."""
    records = read_json(path)
    if not isinstance(records, list) or not all(map(_is_record, records)):
        raise ValueError(f"{path}: not written by predict.py")
    return records


def _is_record(record: object) -> bool:
    if not isinstance(record, dict) or not isinstance(record.get("input"), str):
        return False
    pages = record.get("pages")
    return (
        isinstance(pages, list)
        and all(isinstance(page, dict) and {"page", "files"} <= set(page) for page in pages)
        and all(_are_names(page["files"]) for page in pages)
        and _are_names(record.get("older_files", []))
        and _are_names(record.get("tasks", []))
    )


def _are_names(names: object) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def record_files(record: Record) -> set[str]:
    """Files that a record lists, relative to the folder of the results."""
    return {file for page in record["pages"] for file in page["files"]}


def _all_files(record: Record) -> set[str]:
    """These, and the files of the records that it has replaced."""
    return record_files(record) | set(record.get("older_files", ()))


def content_key(path: Path) -> Record:
    """Size and time of an input: another picture under the same name has others."""
    state = path.stat()
    return {"bytes": state.st_size, "modified": state.st_mtime_ns}


class Records:
    """The records of a folder of results.

    Args:
        folder: holds `results.json` after the first run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / RESULTS_FILE
        self._records: dict[str, Record] = {}  # by input
        self._owners: dict[str, str] = {}  # file -> input
        for record in read_results(self.path) if self.path.exists() else ():
            self.add(record)

    def files(self) -> set[Path]:
        """Resolved paths of all results, those of replaced records included."""
        names = set().union(*map(_all_files, self._records.values()))
        return {resolve(self.folder / name) for name in names}

    def finished(self, path: Path, tasks: tuple[str, ...], options: Record) -> Record | None:
        """Record of an input whose tasks are done, with the same options, and still on disk.

        The input has its size and time of then, and no result is empty.
        """
        record = self._records.get(str(path))
        if record is None or "error" in record or record.get("options") != options:
            return None
        is_done = set(tasks) <= set(record.get("tasks", ())) and self._is_whole(path, record)
        return record if is_done else None

    def _is_whole(self, path: Path, record: Record) -> bool:
        try:
            same = content_key(path).items() <= record.items()
            return same and all((self.folder / x).stat().st_size for x in record_files(record))
        except (OSError, ValueError):  # a file that is gone, or cannot exist
            return False

    def add(self, record: Record) -> None:
        """Take a record in place of those of the same input or with the same files."""
        name: str = record["input"]
        files = record_files(record)
        replaced = {self._owners[file] for file in files if file in self._owners} | {name}
        older = set(record.get("older_files", ()))
        for key in replaced & set(self._records):
            older |= self._remove(key)
        record = {key: value for key, value in record.items() if key != "older_files"}
        older -= files
        self._records[name] = record | ({"older_files": sorted(older)} if older else {})
        self._owners |= dict.fromkeys(files, name)

    def _remove(self, name: str) -> set[str]:
        """Take a record away and return its files."""
        record = self._records.pop(name)
        for file in record_files(record):
            del self._owners[file]
        return _all_files(record)

    def arrange(self, names: Iterable[str]) -> None:
        """Put the records of some inputs last, in the order of their names."""
        for name in names:
            if name in self._records:
                self._records[name] = self._records.pop(name)

    def write(self) -> None:
        """Write `results.json`."""
        write_json(self.path, list(self._records.values()))
