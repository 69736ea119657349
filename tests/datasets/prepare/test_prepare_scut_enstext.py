"""The delivered archive becomes image, label and mask, whatever the number of vertices."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.prepare.scut_enstext import draw_mask, prepare, read_polygons
from datasets.scut_enstext import ScutEnsText
from datasets.transforms import Resize
from utils.image import read_grey, write_png


@pytest.fixture
def delivered(tmp_path: Path) -> Path:
    """A split as delivered: a photograph with a triangle, a square and a pentagon of text."""
    picture = np.full((40, 60, 3), 90, dtype=np.uint8)
    for folder in ("all_images", "all_labels"):
        for name in ("1", "2.v2"):
            write_png(tmp_path / "train" / folder / f"{name}.png", picture)
    annotations = tmp_path / "train/all_gts"
    annotations.mkdir()
    lines = "2,2,10,2,2,10\n20,20,30,20,30,30,20,30,2019\n40,5,50,5,55,10,50,15,40,15\n"
    (annotations / "1.txt").write_text(lines)
    (annotations / "2.v2.txt").write_text("")
    return tmp_path


def test_delivered_archive_is_arranged(delivered: Path):
    assert prepare(delivered) == {"train": 2}
    folders = sorted(path.name for path in (delivered / "train").iterdir())
    assert folders == ["all_gts", "image", "label", "mask"]
    mask = np.asarray(read_grey(delivered / "train/mask/1.png"))
    assert set(np.unique(mask)) == {0, 255}
    assert [mask[3, 3], mask[9, 9], mask[25, 25], mask[10, 54], mask[0, 0]] == [0, 255, 0, 0, 255]
    assert np.asarray(read_grey(delivered / "train/mask/2.v2.png")).min() == 255


def test_arranged_archive_is_read_by_the_data_set(delivered: Path):
    prepare(delivered)
    sample = ScutEnsText(delivered, "train", [Resize(32)], "x")[0, 1]
    assert sample["mask"].shape == (1, 32, 32)
    assert sample["mask"].min() == 0


def test_preparing_twice_changes_nothing(delivered: Path):
    prepare(delivered)
    before = (delivered / "train/mask/1.png").read_bytes()
    assert prepare(delivered) == {"train": 2}
    assert (delivered / "train/mask/1.png").read_bytes() == before


def test_polygon_edges_belong_to_the_text():
    mask = draw_mask([np.int32([[2, 2], [6, 2], [6, 4], [2, 4]])], (8, 8))
    assert (mask[2:5, 2:7] == 0).all()
    assert (mask == 0).sum() == 15


@pytest.mark.parametrize("line", ["1,2,3,4", "1,2,3,4,5,6,7", "a,b,c", "1;2;3;4;5;6"])
def test_bad_line_is_named(tmp_path: Path, line: str):
    path = tmp_path / "7.txt"
    path.write_text(f"1,1,5,1,5,5\n{line}\n")
    with pytest.raises(ValueError, match=r"7\.txt:2"):
        read_polygons(path)


@pytest.mark.parametrize("missing", ["all_gts/1.txt", "all_labels/1.png"])
def test_missing_partner_is_named(delivered: Path, missing: str):
    (delivered / "train" / missing).unlink()
    with pytest.raises(ValueError, match=r"image.1\.png"):
        prepare(delivered)


@pytest.mark.parametrize("name", ["1.jpg", "1.PNG", "1.png"])
def test_another_mask_is_never_written_over(delivered: Path, name: str):
    other = delivered / "train/mask" / name
    other.parent.mkdir()
    Image.new("L", (60, 40)).save(other)
    before = other.read_bytes()
    with pytest.raises(ValueError, match=f"{name}: another mask"):
        prepare(delivered)
    assert other.read_bytes() == before
    assert list(other.parent.iterdir()) == [other]


def test_hidden_files_are_no_masks(delivered: Path):
    (delivered / "train/mask").mkdir()
    (delivered / "train/mask/._1.png").write_bytes(b"")
    assert prepare(delivered) == prepare(delivered)
