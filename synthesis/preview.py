"""Preview: a contact sheet of samples and their labels."""

from pathlib import Path

import cv2
import numpy as np

from datasets.boxes import CLASSES, read_boxes
from synthesis.layouts import DETECTION, REMOVAL, SEGMENTATION, sample_name
from synthesis.samples import GLYPH, ILLEGIBLE
from tasks import ERASED, IGNORED, TEXT
from utils.image import contact_sheet, read_grey, read_rgb

_TITLES = ("text removal", "text erased", "text segmentation", "letters", "tampering", "words")


def write_preview(output_dir: Path, split: str, count: int, path: Path) -> None:
    """Write a PNG sheet of the first `count` samples of a split, one row each.

    Removal: the erased photograph with the edge of the mask in magenta. Segmentation: letters
    orange, illegible text grey, effects bright, background dark. Detection: boxes of genuine words
    green, of tampered ones blue.
    """
    names = [sample_name(split, index) for index in range(count)]
    rows = [
        _removal(output_dir / REMOVAL / split, name)
        + _segmentation(output_dir / SEGMENTATION, name)
        + _detection(output_dir / DETECTION, split, name)
        for name in names
    ]
    contact_sheet(rows, path, _TITLES)


def _removal(folder: Path, name: str) -> list[np.ndarray]:
    image, label = (
        np.array(read_rgb(folder / kind / f"{name}.png")) for kind in ("image", "label")
    )
    text = (np.array(read_grey(folder / "mask" / f"{name}.png")) == 0).astype(np.uint8)
    label[cv2.morphologyEx(text, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0] = ERASED
    return [image, label]


def _segmentation(folder: Path, name: str) -> list[np.ndarray]:
    image = np.array(read_rgb(folder / "image" / f"{name}.jpg"))
    label = np.array(read_grey(folder / "semantic_label" / f"{name}_maskfg.png"))
    drawn = np.where(label[..., None] == 0, image // 3, image)
    drawn[label == GLYPH], drawn[label == ILLEGIBLE] = TEXT, IGNORED
    return [image, drawn]


def _detection(folder: Path, split: str, name: str) -> list[np.ndarray]:
    image = np.array(read_rgb(folder / f"{split}_img" / f"{name}.jpg"))
    drawn = image.copy()
    for x1, y1, x2, y2, number in read_boxes(folder / f"{split}_gt" / f"{name}.txt"):
        cv2.rectangle(drawn, (x1 - 1, y1 - 1), (x2 + 1, y2 + 1), CLASSES[number].colour, 2)
    return [image, drawn]
