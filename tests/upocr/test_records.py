"""Records: what is finished, and which files earlier runs have written."""

import json
import os
from pathlib import Path

import pytest

from upocr.records import RESULTS_FILE, Records, content_key, read_results


def record(name: str, *files: str, **other: object) -> dict:
    page = {"page": name, "files": list(files)}
    return {"input": name, "tasks": ["text_removal"], "options": {}, "pages": [page]} | other


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Inputs `a` and `b`, and the result `a.png`."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "a.png"):
        Path(name).write_text(name)
    return tmp_path


def is_finished(folder: Path, name: str, task: str = "text_removal") -> bool:
    return Records(folder).finished(Path(name), (task,), {}) is not None


def test_finished_needs_the_same_options_the_tasks_and_the_files(folder):
    records = Records(folder)
    key = content_key(Path("a"))
    for each in (
        record("a", "a.png", **key),
        record("b", "gone.png", **content_key(Path("b"))),
        record("bad", error="damaged", **key),
        record("other", options={"threshold": 1}, **key),
    ):
        records.add(each)
    records.write()
    assert is_finished(folder, "a")
    assert not any(is_finished(folder, name) for name in ("b", "bad", "other", "new"))
    assert not is_finished(folder, "a", "text_segmentation")


def test_finished_needs_the_same_input_and_results_with_content(folder):
    records = Records(folder)
    records.add(record("a", "a.png", **content_key(Path("a"))))
    records.write()
    state = Path("a").stat()
    Path("a").write_text("x")  # as large as before
    os.utime("a", ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert not is_finished(folder, "a")
    os.utime("a", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert is_finished(folder, "a")
    Path("a").write_text("longer")
    os.utime("a", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert not is_finished(folder, "a")
    Path("a").unlink()
    assert not is_finished(folder, "a")
    Path("a").write_text("a")
    os.utime("a", ns=(state.st_atime_ns, state.st_mtime_ns))
    Path("a.png").write_bytes(b"")
    assert not is_finished(folder, "a")


def test_records_of_earlier_versions_are_not_finished(folder):
    records = Records(folder)
    records.add(record("a", "a.png"))
    records.write()
    assert not is_finished(folder, "a")


def test_files_of_earlier_records_stay_known(tmp_path):
    records = Records(tmp_path)
    for file in ("a.removed.png", "a.mask.png", "a.classes.png"):
        records.add(record("a", file))
    records.add(record("b", "a.classes.png"))  # took its place
    records.write()
    assert [each["input"] for each in json.loads((tmp_path / RESULTS_FILE).read_text())] == ["b"]
    names = {path.name for path in Records(tmp_path).files()}
    assert names == {"a.removed.png", "a.mask.png", "a.classes.png"}


def test_a_record_that_was_replaced_can_come_back(tmp_path):
    records = Records(tmp_path)
    for name in ("a", "b", "a"):
        records.add(record(name, "shared.png", f"{name}.png"))
    records.write()
    (only,) = json.loads((tmp_path / RESULTS_FILE).read_text())
    assert only["input"] == "a"
    assert only["older_files"] == ["b.png"]


def test_records_are_arranged_by_name(tmp_path):
    records = Records(tmp_path)
    for name in "abcd":
        records.add(record(name))
    records.arrange(["c", "none", "a"])
    records.write()
    names = [each["input"] for each in json.loads((tmp_path / RESULTS_FILE).read_text())]
    assert names == ["b", "d", "c", "a"]


def test_names_that_are_not_utf_8_stay_what_they_are(tmp_path):
    name = os.fsdecode(b"na\xefve.png")
    records = Records(tmp_path)
    records.add(record(name))
    records.write()
    (tmp_path / RESULTS_FILE).read_text(encoding="utf-8")
    assert [each["input"] for each in read_results(tmp_path / RESULTS_FILE)] == [name]


@pytest.mark.parametrize(
    "content",
    [
        *("{}", "[1]", '[{"input": "a"}]', "no JSON"),
        '[{"input": "a", "pages": [{"page": "a", "files": [1]}]}]',
        '[{"input": "a", "pages": [], "older_files": "a"}]',
        '[{"input": "a", "pages": [], "tasks": 1}]',
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, content):
    (tmp_path / RESULTS_FILE).write_text(content)
    with pytest.raises(ValueError, match=r"results.json: not (written by predict.py|JSON)"):
        Records(tmp_path)
