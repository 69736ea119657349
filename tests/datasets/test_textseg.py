"""TextSeg: splits and the conversion of label values."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.textseg import TextSeg
from datasets.transforms import Resize

DATA = Path(__file__).parents[1] / "data" / "TextSegmentation" / "TextSeg"
RESIZE = [Resize(64)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA, tmp_path / "TextSeg"))


@pytest.mark.parametrize(
    ("split", "names"),
    [("train+val", ["a0001", "a0002"]), ("train", ["a0001"]), ("test", ["a0003"])],
)
def test_splits(split: str, names: list[str]) -> None:
    assert [item.name for item in TextSeg(DATA, split, RESIZE, "x").items] == names


def test_label_values_are_converted(root: Path) -> None:
    stored = np.repeat(np.array([[0, 100, 200, 255, 30]], dtype=np.uint8), 2, axis=0)
    Image.new("RGB", (5, 2)).save(root / "image" / "a0003.jpg")
    Image.fromarray(stored).save(root / "semantic_label" / "a0003_maskfg.png")
    label = TextSeg(root, "test", RESIZE, "x")[0]["label"]
    assert label.tolist() == [[0, 255, 0, 128, 30]] * 2


def test_training_label_has_three_equal_channels(root: Path) -> None:
    label = TextSeg(root, "train", RESIZE, "x")[0, 0]["label"]
    assert label.shape == (3, 64, 64)
    assert (label == label[:1]).all()


def test_names_with_dots(root: Path) -> None:
    for folder, ending in (("image", ".jpg"), ("semantic_label", "_maskfg.png")):
        path = root / folder / f"a0003{ending}"
        path.rename(path.with_name(f"a.v3{ending}"))
    (root / "split.json").write_text(json.dumps({"test": ["a.v3"]}))
    assert TextSeg(root, "test", RESIZE, "x")[0]["name"] == "a.v3"


@pytest.mark.parametrize(
    ("text", "split", "message"),
    [
        ("{", "test", r"split\.json: not JSON"),
        ("[1]", "test", r"split\.json: expected lists of names"),
        ('{"test": [3]}', "test", r"split\.json: expected lists of names"),
        ('{"test": []}', "test", r"split\.json: split 'test' is empty"),
        ('{"test": ["b"]}', "test", r"split\.json: no image b\.\* in .*image"),
        ('{"test": ["a0003"]}', "train+val", "unknown split 'train', expected one of test"),
    ],
)
def test_wrong_split_file(root: Path, text: str, split: str, message: str) -> None:
    (root / "split.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        TextSeg(root, split, RESIZE, "x")
