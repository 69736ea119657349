"""Every defect that `check` knows is found in a damaged copy, with its file."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import DATASETS
from datasets.check import __main__ as command
from datasets.check.discovery import find_datasets
from datasets.check.report import check
from datasets.scut_enstext import ScutEnsText
from datasets.tampered_ic13 import TamperedIC13
from datasets.textseg import TextSeg
from utils.image import read_grey, read_rgb, write_png

REMOVAL, DETECTION = "TextRemoval/SCUT-EnsText", "TamperedTextDetection/Tampered-IC13"
SEGMENTATION = "TextSegmentation/TextSeg"
NAME = "train_000001"


def truncate(path: Path) -> None:
    """Keep the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scribble(path: Path) -> None:
    """Replace a file by text."""
    path.write_text("no image")


def crop(path: Path) -> None:
    """Cut a column off a PNG."""
    write_png(path, np.asarray(read_rgb(path))[:, 1:])


def spoil_values(path: Path) -> None:
    """Put a value that the format does not know into a label."""
    label = np.array(read_grey(path))
    label[0, 0] = 77
    write_png(path, label)


def turn(path: Path) -> None:
    """Mark a JPEG as to be shown turned by a quarter."""
    image = read_rgb(path)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(path, exif=exif, quality=95)


def grey(path: Path) -> None:
    """Replace a mask by a photograph's grey."""
    write_png(path, np.full((256, 256), 128, dtype=np.uint8))


def add_line(text: str) -> Callable[[Path], None]:
    """A function that adds a line to an annotation file."""
    return lambda path: path.write_text(path.read_text() + text + "\n")


def copy_to_test(path: Path) -> None:
    """Store a training image (and its boxes) among the test images under another name."""
    shutil.copy(path, path.parents[1] / "test_img/copy.jpg")
    label = path.parents[1] / "train_gt" / f"{path.stem}.txt"
    shutil.copy(label, path.parents[1] / "test_gt/copy.txt")


def list_twice(path: Path) -> None:
    """List a training sample of TextSeg as a test sample, too."""
    splits = json.loads(path.read_text())
    splits["test"].append(NAME)
    path.write_text(json.dumps(splits))


DEFECTS = {
    "missing_label": (f"{REMOVAL}/train/label/{NAME}.png", Path.unlink, f"{NAME}.png", "no file"),
    "missing_image": (f"{DETECTION}/train_img/{NAME}.jpg", Path.unlink, f"{NAME}.txt", "no file"),
    "truncated": (f"{SEGMENTATION}/image/{NAME}.jpg", truncate, f"{NAME}.jpg", "cannot read"),
    "no_image": (f"{REMOVAL}/train/mask/{NAME}.png", scribble, f"{NAME}.png", "not an image"),
    "other_size": (f"{REMOVAL}/train/label/{NAME}.png", crop, f"{NAME}.png", "255 x 256 pixels"),
    "grey_mask": (f"{REMOVAL}/train/mask/{NAME}.png", grey, f"{NAME}.png", "grey"),
    "label_values": (
        *(f"{SEGMENTATION}/semantic_label/{NAME}_maskfg.png", spoil_values),
        *(f"{NAME}_maskfg.png", "label values 77"),
    ),
    "box_outside": (
        *(f"{DETECTION}/train_gt/{NAME}.txt", add_line("250,10,300,20,1")),
        *(f"{NAME}.txt", "outside"),
    ),
    "box_without_area": (
        *(f"{DETECTION}/train_gt/{NAME}.txt", add_line("10,10,10,20,2")),
        *(f"{NAME}.txt", "no area"),
    ),
    "unknown_class": (
        *(f"{DETECTION}/train_gt/{NAME}.txt", add_line("1,1,9,9,3")),
        *(f"{NAME}.txt", "unknown class 3"),
    ),
    "no_box": (
        *(f"{DETECTION}/train_gt/{NAME}.txt", add_line("word")),
        *(f"{NAME}.txt", "not five integers"),
    ),
    "same_image": (
        *(f"{DETECTION}/train_img/{NAME}.jpg", copy_to_test),
        *("copy.jpg", "the same image as"),
    ),
    "in_two_splits": (f"{SEGMENTATION}/split.json", list_twice, "split.json", "train and test"),
    "turned": (f"{SEGMENTATION}/image/{NAME}.jpg", turn, f"{NAME}.jpg", "EXIF orientation 6"),
}


def problems(folder: Path) -> list[list[str]]:
    """All problems of the data sets in a folder."""
    return [
        problem
        for found in find_datasets([folder], Path("data"))
        for problem in check(found)["problems"]
    ]


@pytest.mark.parametrize("defect", DEFECTS)
def test_defect_is_found(datasets_root: Path, tmp_path: Path, defect: str):
    path, damage, culprit, message = DEFECTS[defect]
    tree = path.split("/")[0]
    shutil.copytree(datasets_root / tree, tmp_path / tree)
    damage(tmp_path / path)
    found = problems(tmp_path)
    assert len(found) == 1
    assert Path(found[0][0]).name == culprit
    assert message in found[0][1]


def test_sound_data_sets_have_no_problem(datasets_root: Path):
    found = find_datasets([datasets_root], Path("data"))
    assert [each.dataset for each in found] == [TamperedIC13, ScutEnsText, TextSeg]
    assert problems(datasets_root) == []


def test_workers_do_not_change_the_result(datasets_root: Path):
    for found in find_datasets([datasets_root], Path("data")):
        assert check(found, workers=2) == check(found, workers=0)


def test_result_counts_boxes_and_sizes(datasets_root: Path):
    found = find_datasets([datasets_root / DETECTION], Path("data"))[0]
    split = check(found)["splits"]["train"]
    lines = [
        line.split(",")
        for path in (datasets_root / DETECTION / "train_gt").iterdir()
        for line in path.read_text().splitlines()
    ]
    assert split["images"] == 3
    assert split["sizes"] == [[256, 256], [256, 256]]
    assert split["classes"] == {
        "genuine": sum(line[4] == "1" for line in lines),
        "tampered": sum(line[4] == "2" for line in lines),
    }


def write_config(folder: Path, dataset: str, split: str) -> Path:
    """A YAML file for the data set in `folder/data`."""
    config = {"task": DATASETS[dataset].task, "dataset": dataset, "name": "own", "root": "data"}
    path = folder / f"{split}.yaml"
    path.write_text(json.dumps(config | {"split": split, "transforms": ["resize"]}))
    return path


def run_command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Exit code of the command."""
    monkeypatch.setattr(sys, "argv", ["check", *map(str, arguments), "--workers", "0"])
    return command.main()


def test_command_reports_and_fails(
    datasets_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
):
    result = tmp_path / "result.json"
    assert run_command(monkeypatch, datasets_root, "--json", result) == 0
    assert "no problems" in capsys.readouterr().out
    shutil.copytree(datasets_root / DETECTION, tmp_path / "copy")
    (tmp_path / "copy/test_gt/test_000000.txt").write_text("1,1,9,9,9\n")
    assert run_command(monkeypatch, tmp_path / "copy", "--json", result) == 1
    assert "test_000000.txt: " in capsys.readouterr().out
    assert len(json.loads(result.read_text())[0]["problems"]) == 1


def test_configuration_is_checked(datasets_root: Path, monkeypatch: pytest.MonkeyPatch):
    configs = Path(__file__).parents[3] / "data_configs/train"
    data_root = datasets_root.parent
    names = ("text-removal", "text-segmentation", "tampered-text-detection")
    paths = [configs / f"synthetic-{name}.yaml" for name in names]
    assert run_command(monkeypatch, *paths, "--data_root", data_root) == 0


@pytest.mark.parametrize(
    ("kind", "folder"),
    [
        ("scut_enstext", "train/all_images"),
        ("tampered_ic13", "other"),
        ("detection_folders", "val/image"),
    ],
)
def test_configuration_without_a_sample_is_a_problem(tmp_path: Path, kind: str, folder: str):
    (tmp_path / "data" / folder).mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "data" / folder / "1.png")
    config = write_config(tmp_path, kind, "mine")
    (found,) = find_datasets([config], tmp_path)
    assert (str(tmp_path / "data"), "no sample of split 'mine'") in found.problems


def test_two_configurations_of_a_folder_are_one_data_set(tmp_path, monkeypatch, capsys):
    for part, mode in (("image", "RGB"), ("label", "L")):
        (tmp_path / "data/test" / part).mkdir(parents=True)
        Image.new(mode, (8, 8)).save(tmp_path / "data/test" / part / "1.png")
    paths = [write_config(tmp_path, "segmentation_folders", split) for split in ("trian", "test")]
    assert run_command(monkeypatch, *paths, "--data_root", tmp_path) == 1
    shown = capsys.readouterr().out
    assert "no sample of split 'trian'" in shown
    assert sum(line.startswith(str(tmp_path / "data  ")) for line in shown.splitlines()) == 1


def test_data_sets_are_found_at_any_depth_and_once(datasets_root, tmp_path):
    (tmp_path / "a/b/c/d").mkdir(parents=True)
    shutil.copytree(datasets_root / "TextSegmentation", tmp_path / "a/b/c/d/TextSegmentation")
    (tmp_path / "a/b/back").symlink_to(tmp_path / "a")
    (found,) = find_datasets([tmp_path], tmp_path)
    assert found.root == tmp_path / "a/b/c/d/TextSegmentation/TextSeg"


def test_splits_of_any_name_are_checked(tmp_path: Path):
    for part, value in (("image", "RGB"), ("label", "L")):
        (tmp_path / "data/mine" / part).mkdir(parents=True)
        Image.new(value, (8, 8)).save(tmp_path / "data/mine" / part / "1.png")
    config = write_config(tmp_path, "segmentation_folders", "mine")
    (found,) = find_datasets([config], tmp_path)
    assert [split for split, _ in found.samples] == ["mine"]
    assert not found.problems


@pytest.mark.parametrize("path", ["nothing", "empty", "bad.yaml"])
def test_path_without_data_set_is_named(tmp_path: Path, path: str):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.yaml").write_text("[1, 2]")
    with pytest.raises(ValueError, match=path):
        find_datasets([tmp_path / path], tmp_path)
