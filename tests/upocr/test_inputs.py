"""Inputs: which files names, folders and patterns stand for."""

from pathlib import Path

import pytest

from upocr.inputs import collect_inputs


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Images at two levels, hidden ones, results of an earlier run, and another kind of file."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.JPG", ".hidden.png", "notes.txt", "below/c.png", "out/a.removed.png"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"


def found(*names: str, recursive: bool = False, lines=(), out: str = "in/out", results=()) -> dict:
    inputs = collect_inputs(names, recursive, lines, Path(out), results)
    return {str(each.path): str(each.folder) for each in inputs}


def test_folders(folder):
    assert found("in") == {"in/a.png": ".", "in/b.JPG": "."}
    everything = {"in/a.png": ".", "in/b.JPG": ".", "in/below/c.png": "below"}
    assert found("in", recursive=True) == everything
    assert found("in/out", out="in/out") == {"in/out/a.removed.png": "."}


def test_results_of_earlier_runs_are_left_out(folder):
    results = {(folder / "a.png").resolve()}
    assert found("in", results=results) == {"in/b.JPG": "."}
    assert found("in/*", results=results) == {"in/b.JPG": "."}
    assert found("in/a.png", results=results) == {"in/a.png": "."}  # unless they are named


def test_names_lists_and_patterns_each_once(folder):
    assert found("in/b.JPG", "-", lines=["in/a.png\n", "\n"]) == {"in/b.JPG": ".", "in/a.png": "."}
    assert found("in/*", "in/a.png", "none.png") == {
        "in/a.png": ".",
        "in/b.JPG": ".",
        "none.png": ".",
    }


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["in/*.gif"], r"in/\*.gif: no image matches this pattern"),
        (["empty"], "empty: no images in this folder; --recursive true"),
        (["-"], "no images are named"),
        (["in/a.png", "a.jpg"], "in/a.png and a.jpg would both write the results a"),
    ],
)
def test_nothing_found_and_names_that_collide(folder, names, message):
    Path("empty").mkdir()
    with pytest.raises(ValueError, match=message):
        found(*names)


def test_a_line_that_stands_for_no_image_stops_only_itself(folder):
    Path("empty").mkdir()
    Path("loop.png").symlink_to("loop.png")
    lines = ["in/a.png\n", "empty\n", "a\0.png\n", f"{'x' * 300}.png\n", "in/*.gif\n", "in/b.JPG"]
    inputs = collect_inputs(["-", "loop.png"], False, lines, Path("out"), ())
    problems = {str(each.path): each.problem for each in inputs}
    assert list(problems) == [*(line.strip() for line in lines), "loop.png"]
    assert [name for name, problem in problems.items() if not problem] == [
        *("in/a.png", "a\0.png", "in/b.JPG", "loop.png")  # to be reported when they are opened
    ]
    assert "no images in this folder" in problems["empty"]
    assert "too long" in problems[f"{'x' * 300}.png"]
    assert "no image matches" in problems["in/*.gif"]
