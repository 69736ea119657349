"""Plans: every picture once, and neighbours in name together."""

import os
from pathlib import Path

from upocr.inputs import Input
from upocr.plan import make_plan, read_plan


def inputs(*names: str) -> list[Input]:
    return [Input(Path(name), Path(name).parent) for name in names]


def test_every_input_is_in_one_unit(tmp_path):
    found = inputs("x.page2.png", "a.png", "b/x.png", "x.tif", "x.page10.png", "x.pages.png")
    assert make_plan(tmp_path, found, 1).units == [[0, 3, 4], [1], [2], [5]]


def test_several_processes_begin_with_the_largest_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, size in (("small", 1), ("large", 30), ("x", 20), ("x.page1", 20)):
        Path(name).write_bytes(b"a" * size)
    found = inputs("small", "missing", "large", "x", "x.page1")
    assert make_plan(tmp_path, found, 1).units == [[0], [1], [2], [3, 4]]
    assert make_plan(tmp_path, found, 2).units == [[3, 4], [2], [0], [1]]


def test_all_processes_read_the_same_plan(tmp_path):
    found = [*inputs("a.png", os.fsdecode(b"\xef/b.png")), Input(Path("c"), problem="no image")]
    plan = make_plan(tmp_path, found, 2)
    assert read_plan(tmp_path, plan.content()) == plan


def test_a_unit_is_claimed_once_per_run(tmp_path):
    first, second = (make_plan(tmp_path, inputs("a", "b"), 2) for _ in range(2))
    assert first.claim(0)
    assert first.claim(1)
    assert not first.claim(0)
    assert second.claim(0)
