"""What the journals of a run say, while it goes and after it was killed."""

import contextlib
import shutil
from pathlib import Path

from upocr.files import temporary_path
from upocr.journal import END, PID, PROCESS, Entry, Reader
from upocr.lock import is_held
from upocr.plan import RUN_FOLDER
from upocr.quote import quote
from upocr.records import RESULTS_FILE, Record, Records, record_files

# An entry names an input by its number: either files that are about to be written or its record.
NUMBER, INPUT, FILES, RECORD = "number", "input", "files", "record"


def begin(number: int, name: str, files: list[str]) -> Entry:
    """Entry of files that are about to be written."""
    return {NUMBER: number, INPUT: name, FILES: files}


def finish(number: int, record: Record) -> Entry:
    """Entry of an input that is done, or failed."""
    return {NUMBER: number, RECORD: record}


class Ledger:
    """The journals of a run, put together.

    Args:
        journals: one per process; they may not exist yet.
        records: of the inputs that are done or failed, by number.
        ended: processes that were not killed, by place in `journals`.
    """

    def __init__(self, journals: list[Path]) -> None:
        self.records: dict[int, Record] = {}
        self.ended: set[int] = set()
        self._readers = [Reader(path) for path in journals]
        self._pids: dict[int, int] = {}
        self._begun: dict[int, tuple[str, set[str], int]] = {}  # name, files, process

    def update(self) -> None:
        """Read what is new."""
        for process, reader in enumerate(self._readers):
            for entry in reader.entries():
                self._take(process, entry)

    def _take(self, process: int, entry: Entry) -> None:
        if RECORD in entry:
            self.records[entry[NUMBER]] = entry[RECORD]
        elif FILES in entry:
            known = self._begun.setdefault(entry[NUMBER], (entry[INPUT], set(), process))
            known[1].update(entry[FILES])
        elif END in entry:
            self.ended.add(process)
        else:
            self._pids[process] = entry[PID]

    def enter(self, records: Records) -> None:
        """Add the records of the run, in the order of its inputs; more than once is like once.

        An input whose process ended while it wrote gets a record with an error, which keeps its
        files known as results.
        """
        for number in sorted(self.records.keys() | self._begun.keys()):
            name, files, process = self._begun.get(number, ("", set(), 0))
            record = self.records.get(number)
            if record is None:
                record = {INPUT: name, "pages": [], "error": f"{name}: interrupted"}
                self._remove_temporary(records.folder, files, process)
            others = sorted(files - record_files(record))
            records.add(record | ({"older_files": others} if others else {}))

    def _remove_temporary(self, folder: Path, files: set[str], process: int) -> None:
        """What a killed process was writing."""
        if process in self._pids and self._is_gone(process):
            for name in files:
                temporary_path(folder / name, self._pids[process]).unlink(missing_ok=True)

    def _is_gone(self, process: int) -> bool:
        path = self._readers[process].path
        return path.exists() and not is_held(path)

    def lost(self, is_late: bool) -> set[int]:
        """Processes that are gone without a last word; late, also those that have not come."""
        gone = {process for process in range(len(self._readers)) if self._is_gone(process)}
        if is_late:
            gone |= {process for process, x in enumerate(self._readers) if not x.path.exists()}
        self.update()  # a last word between the two looks
        return gone - self.ended


def recover(output_dir: Path) -> Records:
    """Records of a folder of results, with those of a killed run, whose leftovers are removed.

    Raises ValueError if a process of that run is still at work.
    """
    records = Records(output_dir)
    root = output_dir / RUN_FOLDER
    journals = sorted(root.glob("*/*.jsonl"), key=lambda path: path.stat().st_mtime)
    for path in journals:
        if is_held(path):
            first = next(Reader(path).entries(), {})
            raise ValueError(
                f"{output_dir} is in use by {quote(first.get(PROCESS, 'another run'))}: wait for "
                "it, or choose another --output_dir"
            )
    for folder in dict.fromkeys(path.parent for path in journals):
        ledger = Ledger([path for path in journals if path.parent == folder])
        ledger.update()
        ledger.enter(records)
    if journals:
        records.write()
    clean(output_dir)
    return records


def clean(output_dir: Path) -> None:
    """Remove what runs leave behind, once it has become records."""
    shutil.rmtree(output_dir / RUN_FOLDER, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        for path in output_dir.glob(f".{RESULTS_FILE}.*.tmp"):
            path.unlink(missing_ok=True)
