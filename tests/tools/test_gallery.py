"""The page shows what predict.py and an evaluation have left, and names what is missing."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from tasks import TASKS
from tools import gallery
from utils.cli import run

KINDS = (".removed.png", ".removed_overlay.png", ".mask.png", ".mask_overlay.png")
DONE = ("text_removal", "text_segmentation", "tampered_text_detection")
KINDS += (".classes.png", ".classes_overlay.png", ".regions.json")


def call(monkeypatch, *arguments: object) -> int | None:
    monkeypatch.setattr(sys, "argv", ["gallery", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        run(gallery.main)
    return stop.value.code


def save(path, value):
    Image.fromarray(np.full((30, 40, 3), value, np.uint8)).save(path)


@pytest.fixture
def photos(tmp_path):
    """One picture that was done, one that failed."""
    folder = tmp_path / "photos"
    folder.mkdir()
    save(tmp_path / "a.png", 40)
    for kind in KINDS[:-1]:
        save(folder / f"a{kind}", 1)
    for kind, value in ((KINDS[0], 90), (KINDS[3], 140), (KINDS[5], 190)):
        save(folder / f"a{kind}", value)
    pages = [{"page": "a", **{task: {} for task in DONE}, "files": [f"a{kind}" for kind in KINDS]}]
    records = [
        {"input": str(tmp_path / "a.png"), "pages": pages},
        {"input": "gone.png", "pages": [], "error": "gone.png: no such file"},
    ]
    (folder / "results.json").write_text(json.dumps(records))
    return folder


@pytest.fixture
def evaluation(tmp_path):
    folder = tmp_path / "eval"
    folder.mkdir()
    metrics = {
        "letters": {"task": "text_segmentation", "num_images": 3, "fg_iou": 0.5, "f_score": 0.7},
        "erased <b>": {
            "task": "text_removal",
            "num_images": 2,
            "strict": {"psnr": 31.25},
            "paper": {"psnr": None},
        },
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    save(folder / "letters_sheet.png", 9)
    return folder


def test_photographs_beside_their_three_results(photos):
    titles, (row,) = gallery.photo_table(photos)
    assert titles == ["Input", *(TASKS[task].title for task in DONE)]
    assert [int(picture.mean()) for picture in row] == [40, 90, 140, 190]


def test_photographs_are_upright_and_page_by_page(photos, tmp_path):
    turned = Image.fromarray(np.full((30, 40, 3), 40, np.uint8))
    turned.getexif()[0x0112] = 6  # a quarter turn
    turned.save(tmp_path / "a.png", exif=turned.getexif())
    first, second = (Image.fromarray(np.full((30, 40), value, np.uint16)) for value in (0, 257))
    first.save(tmp_path / "b.tif", save_all=True, append_images=[second])
    records = json.loads((photos / "results.json").read_text())
    pages = [records[0]["pages"][0] | {"page": f"b.page{number}"} for number in (1, 2)]
    records.append({"input": str(tmp_path / "b.tif"), "pages": pages})
    (photos / "results.json").write_text(json.dumps(records))
    pictures = [row[0] for row in gallery.photo_table(photos)[1]]
    assert pictures[0].shape == (40, 30, 3)
    assert [int(picture.max()) for picture in pictures] == [40, 0, 1]


def test_removal_without_targets_has_no_figures():
    metrics = {"mine": {"task": "text_removal", "protocol": "x", "num_images": 2}}
    assert gallery.figure_rows(metrics) == [
        ["mine", "2", "PSNR of the whole output -", "paper's PSNR -"]
    ]


def test_an_unknown_task_has_a_row_and_an_overlay(photos):
    metrics = {"mine": {"task": "seals", "num_images": 2}}
    assert gallery.figure_rows(metrics) == [["mine", "2"]]
    page = {"page": "a_overlay.b", "seals": {"seal_area": 3}, "seconds": 1.5}
    page["files"] = ["x/a_overlay.b.seals.png", "x/a_overlay.b.seals_overlay.png"]
    assert gallery.task_files(page) == {"seals": "x/a_overlay.b.seals_overlay.png"}


@pytest.mark.parametrize("metrics", [[1], {"a": 1}, {"a": {"task": 3, "num_images": 1}}])
def test_metrics_of_others_are_named(monkeypatch, capsys, tmp_path, metrics):
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(metrics))
    assert call(monkeypatch, "--eval_dir", tmp_path, "--output", tmp_path / "index.html") == 2
    assert f"{path}: not written by main.py --eval true" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]


def test_page(monkeypatch, capsys, tmp_path, photos, evaluation):
    page = tmp_path / "gallery" / "index.html"
    options = ["--photo_dir", photos, "--eval_dir", evaluation, "--output", page]
    assert call(monkeypatch, *options) == 0
    text = page.read_text()
    assert 'src="index_photos.png"' in text
    assert '<h3>letters</h3><img src="../eval/letters_sheet.png"' in text
    assert gallery.PHOTO_LEGEND in text
    assert "erased &lt;b&gt;" in text
    assert (page.parent / "index_photos.png").is_file()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "erased <b>  2  PSNR of the whole output 31.2  paper's PSNR -"
    assert lines[1] == "letters  3  fgIoU 0.5  F 0.7"


def test_a_task_that_was_not_done_is_named(photos):
    records = json.loads((photos / "results.json").read_text())
    records[0]["pages"][0]["files"] = ["a.removed.png"]
    (photos / "results.json").write_text(json.dumps(records))
    with pytest.raises(ValueError, match="a lacks a task"):
        gallery.photo_table(photos)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((), "nothing to show"), (("--photo_dir", "none"), "results.json: no such file")],
)
def test_bad_input_is_one_line(monkeypatch, capsys, tmp_path, arguments, message):
    assert call(monkeypatch, *arguments, "--output", tmp_path / "index.html") == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
