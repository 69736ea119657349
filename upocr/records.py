"""`results.json`: one record per input file, kept from run to run."""

from pathlib import Path
from typing import Any

from upocr.files import read_json, resolved, write_json

RESULTS_FILE = "results.json"

Record = dict[str, Any]


def read_results(path: Path) -> list[Record]:
    """Records of earlier runs; ValueError for a file that is missing or of another kind."""
    records = read_json(path)
    if not isinstance(records, list) or not all(map(_is_record, records)):
        raise ValueError(f"{path}: not written by predict.py")
    return records


def _is_record(record: object) -> bool:
    if not isinstance(record, dict):
        return False
    texts = (record.get("input"), record.get("error", ""))
    lists = (record.get("tasks", []), record.get("older_files", []))
    pages = record.get("pages")
    return (
        all(map(_is_text, texts))
        and all(map(_are_texts, lists))
        and isinstance(pages, list)
        and all(map(_is_page, pages))
    )


def _is_page(page: object) -> bool:
    return isinstance(page, dict) and _is_text(page.get("page")) and _are_texts(page.get("files"))


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value  # which no file name has


def record_files(record: Record) -> set[str]:
    """Files that a record lists, relative to the folder of the results."""
    return {file for page in record["pages"] for file in page["files"]}


def _all_files(record: Record) -> set[str]:
    """These, and the files of the records that it has replaced."""
    return record_files(record) | set(record.get("older_files", ()))


class Records:
    """The records of a folder of results.

    Args:
        folder: holds `results.json` after the first run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / RESULTS_FILE
        earlier = read_results(self.path) if self.path.exists() else []
        self._records = {record["input"]: record for record in earlier}

    def files(self) -> set[Path]:
        """Resolved paths of all results, those of replaced records included."""
        names = set().union(*map(_all_files, self._records.values()))
        return {resolved(self.folder / name) for name in names}

    def finished(self, path: Path, tasks: tuple[str, ...], options: Record) -> Record | None:
        """Record of an input whose tasks are done with the same options and still on disk."""
        record = self._records.get(str(path))
        if record is None or "error" in record or record.get("options") != options:
            return None
        exist = all((self.folder / file).exists() for file in record_files(record))
        return record if exist and set(tasks) <= set(record.get("tasks", ())) else None

    def add(self, record: Record) -> None:
        """Take a record in place of those of the same input or with the same files."""
        files, name = record_files(record), record["input"]
        replaced = [
            key for key, each in self._records.items() if key == name or files & record_files(each)
        ]
        older = set().union(*(_all_files(self._records.pop(key)) for key in replaced)) - files
        self._records[name] = record | ({"older_files": sorted(older)} if older else {})

    def write(self) -> None:
        """Write `results.json`."""
        write_json(self.path, list(self._records.values()))
