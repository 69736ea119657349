"""The work on files: reading and writing do not hold up the network."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from upocr import job as job_module
from upocr.inputs import Input
from upocr.job import Behind, Job
from upocr.journal import Journal
from upocr.ledger import Ledger
from upocr.plan import make_plan
from upocr.records import Records
from upocr.workload import Workload

PATIENCE = 30  # seconds until something that has not begun never will


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in "abc":
        Image.fromarray(np.full((20, 30, 3), 99, np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


def do(model, folder: Path, names: str, **options) -> Ledger:
    """Run a job on files and return what it put on record."""
    tasks = ("text_removal",)
    saving, workload = {"format": "png", "cutout": False}, Workload(model, tasks, {})
    job = Job(model, tasks, {}, saving, folder / "out", workload, {}, **options)
    plan = make_plan(folder / "out", [Input(folder / f"{name}.png") for name in names], 1)
    with Journal(plan.journal(0)) as journal:
        job.run(plan, Records(folder / "out"), journal, lambda unit: True, lambda: None)
    ledger = Ledger([plan.journal(0)])
    ledger.update()
    return ledger


def test_the_next_picture_is_read_and_the_last_one_written_while_the_network_works(
    painter, folder, monkeypatch
):
    is_read, is_begun = ({name: threading.Event() for name in "abcd"} for _ in range(2))
    late = []

    pages = Workload.pages

    def reading(self, found):
        is_read[found.path.stem].set()
        return pages(self, found)

    class Waiting(type(painter)):
        def run(self, picture, *arguments, **options):
            following = {"a": "b", "b": "c", "c": "d"}[picture.name]
            is_begun[picture.name].set()
            late.extend([following] * (not is_read[following].wait(PATIENCE)))
            return super().run(picture, *arguments, **options)

    write = Job._write

    def writing(self, doing, *arguments):
        following = {"a": "b", "b": "c", "c": "d"}[doing.found.path.stem]
        late.extend([following] * (not is_begun[following].wait(PATIENCE)))
        write(self, doing, *arguments)

    is_read["d"].set()
    is_begun["d"].set()
    monkeypatch.setattr(Workload, "pages", reading)
    monkeypatch.setattr(Job, "_write", writing)
    ledger = do(Waiting(painter.backend), folder, "abc")
    assert late == []
    assert [record["pages"][0]["page"] for record in ledger.records.values()] == ["a", "b", "c"]


def test_results_of_large_pictures_leave_memory_before_the_next_one_is_worked_on(
    painter, folder, monkeypatch
):
    monkeypatch.setattr(job_module, "LARGE", 20 * 30 - 1)
    steps = []
    run, write = type(painter).run, Job._write

    def running(self, picture, *arguments, **options):
        steps.append(f"run {picture.name}")
        return run(self, picture, *arguments, **options)

    def writing(self, doing, *arguments):
        write(self, doing, *arguments)
        steps.append(f"written {doing.found.path.stem}")

    monkeypatch.setattr(type(painter), "run", running)
    monkeypatch.setattr(Job, "_write", writing)
    do(painter, folder, "ab")
    assert steps == ["run a", "written a", "run b", "written b"]


def test_an_error_of_one_file_is_on_its_record_only(painter, folder):
    (folder / "b.png").write_text("no picture")
    (folder / "out").mkdir()
    (folder / "out" / "c.removed.png").mkdir()  # cannot be written
    ledger = do(painter, folder, "abcd")
    assert ["error" in ledger.records[number] for number in range(4)] == [False, True, True, True]
    assert ledger.records[3]["error"] == f"{folder / 'd.png'}: no such file"


def test_files_are_named_in_the_journal_before_they_are_written(painter, folder, monkeypatch):
    append, seen = Journal.append, []

    def appending(self, entry):
        if "files" in entry:
            seen.append([(folder / "out" / name).exists() for name in entry["files"]])
        append(self, entry)

    monkeypatch.setattr(Journal, "append", appending)
    do(painter, folder, "ab")
    assert seen == [[False, False], [False, False]]


def test_a_call_behind_that_fails_stops_the_caller(painter, folder, monkeypatch):
    def full(self, entry):
        if "record" in entry:
            raise OSError("No space left on device")

    monkeypatch.setattr(Journal, "append", full)
    with pytest.raises(OSError, match="No space left"):
        do(painter, folder, "abc")


def test_behind_keeps_the_order_and_the_distance():
    done, gate = [], threading.Event()

    def call(number: int) -> None:
        gate.wait(PATIENCE)
        done.append(number)

    with ThreadPoolExecutor(1) as thread:
        behind = Behind(thread, most=2)
        behind.call(call, 0)
        behind.call(call, 1)
        assert done == []
        gate.set()
        behind.call(call, 2)
        assert done[:1] == [0]
        behind.wait()
    assert done == [0, 1, 2]
