"""SCUT-EnsText: layouts, names, pairs, and inference without targets."""

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from datasets.multitask import MultiTaskLoader
from datasets.scut_enstext import ScutEnsText
from datasets.transforms import Resize

DATA = Path(__file__).parents[1] / "data" / "TextRemoval" / "SCUT-EnsText"
RESIZE = [Resize(64)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA, tmp_path / "SCUT-EnsText"))


def test_evaluation_sample(root: Path) -> None:
    sample = ScutEnsText(root, "test", RESIZE, "x")[1]
    assert sample["task"] == "text_removal"
    assert sample["name"] == "2"
    assert sample["size"] == (143, 97)
    assert sample["label_path"] == str(root / "test" / "label" / "2.jpg")
    assert sample["image"].shape == sample["label"].shape == (3, 64, 64)
    assert sample["mask"].shape == (1, 64, 64)
    assert sample["mask"].unique().tolist() == [0, 255]


def test_masks_as_png_are_the_same_samples(root: Path) -> None:
    jpeg = ScutEnsText(root, "test", RESIZE, "x")[0]
    for path in (root / "test" / "mask").iterdir():
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
    assert torch.equal(ScutEnsText(root, "test", RESIZE, "x")[0]["mask"], jpeg["mask"])


def test_names_with_dots(root: Path) -> None:
    for field in ("image", "label", "mask"):
        for old, new in (("1", "a.v2"), ("2", "a.v10"), ("3", "a.jpg")):
            path = root / "test" / field / f"{old}.jpg"
            path.rename(path.with_name(f"{new}.jpg"))
    dataset = ScutEnsText(root, "test", RESIZE, "x")
    assert [item.name for item in dataset.items] == ["a.jpg", "a.v2", "a.v10"]
    assert dataset[2]["label_path"].endswith("a.v10.jpg")


@pytest.mark.parametrize("spelling", ["SCUT-ENS", "SCUT-EnsText"])
def test_both_spellings_of_the_folder(root: Path, spelling: str) -> None:
    root.rename(root.with_name("moved"))
    root.with_name("moved").rename(root.with_name(spelling))
    assert len(ScutEnsText(root, "test", RESIZE, "x")) == 3


def test_hidden_and_other_files_are_no_images(root: Path) -> None:
    for name in (".DS_Store", "._1.jpg", "Thumbs.db", "list.txt"):
        (root / "test" / "image" / name).write_bytes(b"x")
    assert len(ScutEnsText(root, "test", RESIZE, "x")) == 3


def test_images_alone_are_enough_for_inference(root: Path) -> None:
    shutil.rmtree(root / "test" / "label")
    shutil.rmtree(root / "test" / "mask")
    sample = ScutEnsText(root, "test", RESIZE, "x")[0]
    assert sample.keys() == {"image", "task", "name", "size", "label_path"}
    assert sample["label_path"] is None


@pytest.mark.parametrize("field", ["label", "mask"])
def test_training_needs_targets(root: Path, field: str) -> None:
    shutil.rmtree(root / "train" / field)
    with pytest.raises(ValueError, match=rf"train/{field}: missing folder, training needs it$"):
        MultiTaskLoader([ScutEnsText(root, "train", RESIZE, "x")], batch_size=1, seed=0)
