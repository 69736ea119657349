"""A small data set per task; the tests of this folder read or copy them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from utils.image import write_png

NAMES = {"train": [f"train_{number:06}" for number in range(3)]}
NAMES["test"] = [f"test_{number:06}" for number in range(2)]
SIDE = 256


@pytest.fixture(scope="session")
def datasets_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder `synthetic` with noise, text in rectangles, and no fault; not to be changed."""
    root = tmp_path_factory.mktemp("data") / "synthetic"
    random = np.random.default_rng(0)
    for split, names in NAMES.items():
        for name in names:
            _write_sample(root, split, name, random)
    (root / "TextSegmentation/TextSeg/split.json").write_text(json.dumps(NAMES))
    return root


def _write_sample(root: Path, split: str, name: str, random: np.random.Generator) -> None:
    noise = random.integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    text = np.zeros((SIDE, SIDE), bool)
    text[50:80, 40:200] = True
    removal = root / "TextRemoval/SCUT-EnsText" / split
    write_png(removal / "image" / f"{name}.png", noise[0])
    write_png(removal / "label" / f"{name}.png", np.where(text[..., None], 128, noise[0]))
    write_png(removal / "mask" / f"{name}.png", np.where(text, 0, 255).astype(np.uint8))
    detection = root / "TamperedTextDetection/Tampered-IC13"
    _write_jpeg(detection / f"{split}_img" / f"{name}.jpg", noise[1])
    (detection / f"{split}_gt").mkdir(exist_ok=True)
    (detection / f"{split}_gt" / f"{name}.txt").write_text("40,50,99,79,1\n100,50,199,79,2\n")
    segmentation = root / "TextSegmentation/TextSeg"
    _write_jpeg(segmentation / "image" / f"{name}.jpg", noise[2])
    label = np.where(text, 100, 0).astype(np.uint8)
    label[:9], label[9:18] = 200, 255
    write_png(segmentation / "semantic_label" / f"{name}_maskfg.png", label)


def _write_jpeg(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
