"""Records: what is finished, and which files earlier runs have written."""

import json

import pytest

from upocr.records import RESULTS_FILE, Records


def record(name: str, *files: str, **other: object) -> dict:
    page = {"page": name, "files": list(files)}
    return {"input": name, "tasks": ["text_removal"], "options": {}, "pages": [page]} | other


def test_finished_needs_the_same_options_the_tasks_and_the_files(tmp_path):
    (tmp_path / "a.png").touch()
    records = Records(tmp_path)
    for each in (
        record("a", "a.png"),
        record("gone", "gone.png"),
        record("bad", error="damaged"),
        record("other", options={"threshold": 1}),
    ):
        records.add(each)
    records.write()
    again = Records(tmp_path)
    tasks = ("text_removal",)
    assert again.finished("a", tasks, {})["input"] == "a"
    assert not any(again.finished(name, tasks, {}) for name in ("gone", "bad", "other", "new"))
    assert again.finished("a", ("text_segmentation",), {}) is None


def test_files_of_earlier_records_stay_known(tmp_path):
    records = Records(tmp_path)
    for file in ("a.removed.png", "a.mask.png", "a.classes.png"):
        records.add(record("a", file))
    records.add(record("b", "a.classes.png"))  # took its place
    records.write()
    assert [each["input"] for each in json.loads((tmp_path / RESULTS_FILE).read_text())] == ["b"]
    names = {path.name for path in Records(tmp_path).files()}
    assert names == {"a.removed.png", "a.mask.png", "a.classes.png"}


@pytest.mark.parametrize("content", ["{}", "[1]", '[{"input": "a"}]', "no JSON"])
def test_a_file_of_another_kind_is_named(tmp_path, content):
    (tmp_path / RESULTS_FILE).write_text(content)
    with pytest.raises(ValueError, match=r"results.json: not (written by predict.py|JSON)"):
        Records(tmp_path)
