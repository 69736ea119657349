"""Every fault of the files ends in one line that names the file."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from datasets import build_dataset

TESTS = Path(__file__).parents[1]
CONFIGS = TESTS.parent / "data_configs"
REMOVAL, DETECTION = "TextRemoval/SCUT-EnsText", "TamperedTextDetection/Tampered-IC13"
SEGMENTATION = "TextSegmentation/TextSeg"


def delete(path: Path) -> None:
    """Remove a file or a folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def empty(path: Path) -> None:
    """Leave a folder without files."""
    delete(path)
    path.mkdir()


def truncate(path: Path) -> None:
    """Keep the first half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def scribble(path: Path) -> None:
    """Replace a file by text."""
    path.write_text("no image, no box")


def shrink(path: Path) -> None:
    """Replace an image by a smaller one."""
    Image.open(path).resize((8, 9)).save(path)


def double(path: Path) -> None:
    """Put a PNG of the same name beside an image."""
    Image.open(path).save(path.with_suffix(".png"))


def read_everything(config: str, data: Path) -> None:
    """Build the evaluation data set and read all its samples."""
    dataset = build_dataset(CONFIGS / "eval" / f"{config}.yaml", 64, data)
    for index in range(len(dataset)):
        dataset[index]


FAULTS = [
    ("scut-enstext", delete, f"{REMOVAL}/test", "image: missing folder"),
    ("scut-enstext", delete, f"{REMOVAL}/test/image", "missing folder"),
    ("scut-enstext", empty, f"{REMOVAL}/test/image", "empty folder"),
    ("scut-enstext", empty, f"{REMOVAL}/test/label", "empty folder"),
    (
        "scut-enstext",
        delete,
        f"{REMOVAL}/test/label/2.jpg",
        r"image/2\.jpg: no file 2\.\* in .*label",
    ),
    (
        "scut-enstext",
        delete,
        f"{REMOVAL}/test/mask/2.jpg",
        r"image/2\.jpg: no file 2\.\* in .*mask",
    ),
    ("scut-enstext", truncate, f"{REMOVAL}/test/image/2.jpg", "cannot read this image .*truncated"),
    ("scut-enstext", truncate, f"{REMOVAL}/test/label/2.jpg", "cannot read this image .*truncated"),
    ("scut-enstext", scribble, f"{REMOVAL}/test/mask/2.jpg", "not an image"),
    (
        "scut-enstext",
        shrink,
        f"{REMOVAL}/test/label/2.jpg",
        "8 x 9 pixels, but its image has 97 x 143",
    ),
    (
        "scut-enstext",
        shrink,
        f"{REMOVAL}/test/mask/2.jpg",
        "8 x 9 pixels, but its image has 97 x 143",
    ),
    ("scut-enstext", double, f"{REMOVAL}/test/image/2.jpg", r"2\.png: 2\.jpg .* has the same name"),
    ("tampered-ic13", delete, f"{DETECTION}/test_img", "missing folder"),
    ("tampered-ic13", delete, f"{DETECTION}/test_gt", "missing folder"),
    ("tampered-ic13", empty, f"{DETECTION}/test_img", "empty folder"),
    ("tampered-ic13", delete, f"{DETECTION}/test_gt/101.txt", r"img/101\.jpg: no file 101\.\*"),
    ("tampered-ic13", scribble, f"{DETECTION}/test_gt/101.txt", "txt:1: .* is not five integers"),
    ("tampered-ic13", truncate, f"{DETECTION}/test_img/101.jpg", "cannot read this image"),
    ("textseg", delete, f"{SEGMENTATION}/split.json", "no such file"),
    ("textseg", delete, f"{SEGMENTATION}/image", "missing folder"),
    ("textseg", delete, f"{SEGMENTATION}/image/a0003.jpg", r"no image a0003\.\*"),
    ("textseg", delete, f"{SEGMENTATION}/semantic_label", "missing folder"),
    ("textseg", delete, f"{SEGMENTATION}/semantic_label/a0003_maskfg.png", "no file a0003_maskfg"),
    ("textseg", truncate, f"{SEGMENTATION}/semantic_label/a0003_maskfg.png", "cannot read this"),
    ("textseg", shrink, f"{SEGMENTATION}/semantic_label/a0003_maskfg.png", "8 x 9 pixels, but its"),
]


@pytest.mark.parametrize(("config", "fault", "path", "message"), FAULTS)
def test_fault_is_one_line_naming_the_file(
    tmp_path: Path, config: str, fault: Callable[[Path], None], path: str, message: str
) -> None:
    data = Path(shutil.copytree(TESTS / "data", tmp_path / "data"))
    fault(data / path)
    with pytest.raises(ValueError, match=message) as error:
        read_everything(config, data)
    assert "\n" not in str(error.value)
    assert Path(path).stem.removesuffix("_maskfg") in str(error.value)
