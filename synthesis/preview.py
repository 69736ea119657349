"""Preview: a contact sheet of samples with their labels drawn."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from datasets.boxes import CLASSES, read_boxes
from synthesis.layouts import DETECTION, REMOVAL, SEGMENTATION
from synthesis.samples import EFFECT, GLYPH, ILLEGIBLE
from utils.image import read_grey, read_rgb, write_png

COLUMNS = 6  # samples beside each other; each is two pictures wide
_TINTS = {GLYPH: (0, 220, 60), EFFECT: (255, 160, 0), ILLEGIBLE: (90, 120, 255)}
_GENUINE, _TAMPERED = (0, 200, 60), (255, 30, 30)


def write_preview(
    output_dir: Path, names: Sequence[tuple[str, str]], path: Path, cell: int = 256
) -> None:
    """Write a PNG sheet of samples (split, name), a third of each task, beside their labels.

    Removal: photograph | erased photograph, with the mask's edge in red. Segmentation: photograph |
    letters green, effects orange, illegible text blue. Detection: photograph | genuine boxes green,
    tampered ones red.
    """
    draw = (_removal, _segmentation, _detection)
    third = -(-len(names) // len(draw))
    pictures = [
        draw[place // third](output_dir, split, name) for place, (split, name) in enumerate(names)
    ]
    cells = [np.hstack([_fitted(half, cell) for half in pair]) for pair in pictures]
    cells = [np.pad(tile, ((2, 2), (4, 4), (0, 0)), constant_values=255) for tile in cells]
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % COLUMNS)
    rows = [np.hstack(cells[start : start + COLUMNS]) for start in range(0, len(cells), COLUMNS)]
    write_png(path, np.vstack(rows))


def _fitted(picture: np.ndarray, cell: int) -> np.ndarray:
    return cv2.resize(picture, (cell, cell), interpolation=cv2.INTER_AREA)


def _removal(output_dir: Path, split: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    folder = output_dir / REMOVAL / split
    image, label = (
        np.array(read_rgb(folder / part / f"{name}.png")) for part in ("image", "label")
    )
    text = np.array(read_grey(folder / "mask" / f"{name}.png")) < 128
    edge = cv2.morphologyEx(text.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    label[edge > 0] = _TAMPERED
    return image, label


def _segmentation(output_dir: Path, split: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    folder = output_dir / SEGMENTATION
    image = np.array(read_rgb(folder / "image" / f"{name}.jpg"))
    label = np.array(read_grey(folder / "semantic_label" / f"{name}_maskfg.png"))
    drawn = image // 3
    for value, tint in _TINTS.items():
        drawn[label == value] = tint
    return image, drawn


def _detection(output_dir: Path, split: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    folder = output_dir / DETECTION
    image = np.array(read_rgb(folder / f"{split}_img" / f"{name}.jpg"))
    drawn = image.copy()
    for x1, y1, x2, y2, kind in read_boxes(folder / f"{split}_gt" / f"{name}.txt"):
        colour = _TAMPERED if CLASSES[kind].name == "tampered" else _GENUINE
        cv2.rectangle(drawn, (x1 - 1, y1 - 1), (x2 + 1, y2 + 1), colour, 2)
    return image, drawn
