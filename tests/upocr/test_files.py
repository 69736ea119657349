"""Files appear complete or not at all."""

import json

import pytest

from upocr.files import atomic_path, write_json


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_json_goes_into_folders_that_are_made(tmp_path):
    path = tmp_path / "new" / "a.json"
    write_json(path, {"name": "école", "values": [1, 2.5]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"name": "école", "values": [1, 2.5]}
    assert [file.name for file in path.parent.iterdir()] == ["a.json"]
