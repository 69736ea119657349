"""Ledgers: records from journals, of runs that go on and of runs that were killed."""

import json
import os
from pathlib import Path

import pytest

from upocr.files import temporary_path
from upocr.journal import Journal
from upocr.ledger import Ledger, begin, finish, recover
from upocr.plan import RUN_FOLDER
from upocr.records import RESULTS_FILE, Records


def record(name: str, *files: str) -> dict:
    return {"input": name, "pages": [{"page": name, "files": list(files)}]}


def killed(path: Path, *entries: dict) -> Path:
    """Journal of a process that wrote some entries and was killed."""
    journal = Journal(path)
    for entry in entries:
        journal.append(entry)
    journal._file.close()
    return path


def read(folder: Path) -> list[dict]:
    return json.loads((folder / RESULTS_FILE).read_text())


def test_records_of_all_processes_in_the_order_of_the_inputs(tmp_path):
    paths = [tmp_path / RUN_FOLDER / "x" / f"{rank}.jsonl" for rank in range(2)]
    killed(paths[0], finish(2, record("c")), finish(0, record("a")))
    killed(paths[1], finish(1, record("b")))
    recover(tmp_path)
    assert read(tmp_path) == [record("a"), record("b"), record("c")]
    assert not (tmp_path / RUN_FOLDER).exists()


def test_an_input_that_was_being_written_is_interrupted_and_its_files_stay_known(tmp_path):
    records = Records(tmp_path)
    records.add(record("a", "a.mask.png"))  # of an earlier run
    records.write()
    path = tmp_path / RUN_FOLDER / "x" / "0.jsonl"
    killed(path, begin(0, "a", ["a.png", "a.jpg"]))
    unfinished = temporary_path(tmp_path / "a.png", os.getpid())
    unfinished.touch()
    files = recover(tmp_path).files()
    assert {path.name for path in files} == {"a.mask.png", "a.png", "a.jpg"}
    (found,) = read(tmp_path)
    assert found["error"] == "a: interrupted"
    assert not unfinished.exists()
    assert {path.name for path in Records(tmp_path).files()} == {path.name for path in files}


def test_files_that_were_begun_and_are_on_no_page_stay_known(tmp_path):
    path = tmp_path / RUN_FOLDER / "x" / "0.jsonl"
    killed(path, begin(0, "a", ["a.png", "a.jpg"]), finish(0, record("a", "a.png")))
    recover(tmp_path)
    assert read(tmp_path) == [record("a", "a.png") | {"older_files": ["a.jpg"]}]


def test_entering_twice_is_entering_once(tmp_path):
    path = killed(
        tmp_path / "0.jsonl", begin(0, "a", ["a.png", "a.jpg"]), finish(0, record("a", "a.png"))
    )
    records = Records(tmp_path)
    for _ in range(2):
        ledger = Ledger([path])
        ledger.update()
        ledger.enter(records)
        records.write()
        assert read(tmp_path) == [record("a", "a.png") | {"older_files": ["a.jpg"]}]


def test_a_process_of_a_killed_run_that_is_still_at_work_is_named(tmp_path):
    path = tmp_path / RUN_FOLDER / "x" / "1.jsonl"
    with Journal(path) as journal:
        journal.append(finish(0, record("a")))
        with pytest.raises(ValueError, match=rf"is in use by .process {os.getpid()} on .*: wait"):
            recover(tmp_path)
        assert path.exists()
        assert not (tmp_path / RESULTS_FILE).exists()
    recover(tmp_path)
    assert read(tmp_path) == [record("a")]


def test_lost_processes_are_those_that_left_without_a_word_or_never_came(tmp_path):
    paths = [tmp_path / f"{rank}.jsonl" for rank in range(4)]
    with Journal(paths[0]):
        pass
    killed(paths[1])
    with Journal(paths[2]):
        ledger = Ledger(paths)
        assert ledger.lost(is_late=False) == {1}
        assert ledger.lost(is_late=True) == {1, 3}
        assert ledger.ended == {0}


def test_nothing_to_recover_writes_nothing(tmp_path):
    assert recover(tmp_path).files() == set()
    assert list(tmp_path.iterdir()) == []
