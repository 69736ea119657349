"""Inputs: which files names, folders and patterns stand for."""

from pathlib import Path

import pytest

from upocr.inputs import collect_inputs, describe_others


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
    inputs = collect_inputs(names, recursive, lines, Path(out), results).inputs
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
        (["in/a.png", "a.png"], "in/a.png and a.png would both write the results a.png"),
    ],
)
def test_nothing_found_and_names_that_collide(folder, names, message):
    Path("empty").mkdir()
    Path("a.png").touch()
    with pytest.raises(ValueError, match=message):
        found(*names)


def test_files_of_one_name_keep_their_suffixes(folder):
    for name in ("in/a.jpg", "in/below/a.tif"):
        Path(name).touch()
    inputs = collect_inputs(["in"], True, (), Path("in/out"), ()).inputs
    names = {str(each.path): each.name for each in inputs}
    assert names == {
        "in/a.png": "a.png",
        "in/a.jpg": "a.jpg",
        "in/b.JPG": "b",
        "in/below/a.tif": "a",
        "in/below/c.png": "c",
    }


def test_other_kinds_are_named(folder):
    def others(*names: str, recursive: bool = False) -> list[str]:
        found = collect_inputs(names, recursive, (), Path("in/out"), {folder / "b.JPG"}).others
        return [str(path) for path in found]

    Path("in/below/x.docx").touch()
    Path("in/results.json").touch()
    assert others("in") == ["in/notes.txt"]
    assert others("in", "in/*", recursive=True) == ["in/below/x.docx", "in/notes.txt"]
    assert others("in/*") == ["in/notes.txt"]
    assert others("in", "in/notes.txt") == []  # it is named: an input, and an error


def test_the_line_about_other_kinds_counts_and_names_them():
    assert describe_others([Path("a.txt")]) == ("1 file is of no readable kind and left out: a.txt")
    many = [Path(f"{number}.log") for number in range(30)]
    line = describe_others([*many, Path("Makefile"), Path("b.TXT"), Path("c.txt")])
    assert line == (
        "33 files are of no readable kind and left out: 30 x .log: 0.log ...; b.TXT, c.txt; "
        "Makefile"
    )


def test_a_line_that_stands_for_no_image_stops_only_itself(folder):
    Path("empty").mkdir()
    Path("loop.png").symlink_to("loop.png")
    lines = ["in/a.png\n", "empty\n", "a\0.png\n", f"{'x' * 300}.png\n", "in/*.gif\n", "in/b.JPG"]
    inputs = collect_inputs(["-", "loop.png"], False, lines, Path("out"), ()).inputs
    problems = {str(each.path): each.problem for each in inputs}
    names = [line.strip() for line in lines]
    assert list(problems) == [*names[:2], "a\\x00.png", *names[3:], "loop.png"]
    good = [name for name, problem in problems.items() if not problem]
    assert good == ["in/a.png", "in/b.JPG", "loop.png"]  # a loop is reported when it is opened
    assert "null character" in problems["a\\x00.png"]
    assert "no images in this folder" in problems["empty"]
    assert "too long" in problems[f"{'x' * 300}.png"]
    assert "no image matches" in problems["in/*.gif"]
