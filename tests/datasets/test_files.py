"""Files of two folders: pairs by name, and the message for a file without its partner."""

from pathlib import Path

import pytest

from datasets.files import Folder, list_files, match_folders


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}.png").touch()


def test_names_are_in_natural_order(tmp_path):
    touch(tmp_path, "a10", "a2", "b", ".hidden")
    assert list(list_files(tmp_path)) == ["a2", "a10", "b"]


def test_pairs_by_name_in_one_folder(tmp_path):
    touch(tmp_path, "P01", "P01_gt", "P01.mask")
    pairs = match_folders(Folder(tmp_path, ending=".mask"), Folder(tmp_path, ending="_gt"))
    assert [(name, a.name, b.name) for name, (a, b) in pairs.items()] == [
        ("P01", "P01.mask.png", "P01_gt.png")
    ]


@pytest.mark.parametrize(
    ("masks", "labels", "message"),
    [
        (["P01", "P02"], ["P01"], r"P02\.mask\.png: no file P02_gt\.\*"),
        (["P01"], ["P01", "P02"], r"P02_gt\.png: no file P02\.mask\.\*"),
    ],
)
def test_a_file_without_its_partner_is_named(tmp_path, masks, labels, message):
    touch(tmp_path / "out", *(f"{name}.mask" for name in masks))
    touch(tmp_path / "gt", *(f"{name}_gt" for name in labels))
    folders = Folder(tmp_path / "out", ending=".mask"), Folder(tmp_path / "gt", ending="_gt")
    with pytest.raises(ValueError, match=message):
        match_folders(*folders)


@pytest.mark.parametrize(("first", "second"), [(".mask", ""), ("", ".mask")])
def test_one_kind_among_files_of_a_longer_name(tmp_path, first, second):
    touch(tmp_path, "P01", "P01.mask")
    pairs = match_folders(Folder(tmp_path, ending=first), Folder(tmp_path, ending=second))
    ((name, paths),) = pairs.items()
    assert name == "P01"
    assert [path.stem for path in paths] == [f"P01{first}", f"P01{second}"]


def test_a_folder_without_the_ending_is_named(tmp_path):
    touch(tmp_path, "P01")
    with pytest.raises(ValueError, match=r"no image of a name that ends with '_gt'"):
        match_folders(Folder(tmp_path, ending="_gt"), Folder(tmp_path))
