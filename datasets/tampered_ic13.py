"""Tampered-IC13: photographs of scenes whose words are genuine or tampered, as boxes."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from datasets.base import Item, TextDataset, check_split, list_files, partner
from datasets.transforms import Field, Images, Transform
from utils.image import read_rgb

SPLITS = ("train", "test")
GENUINE, TAMPERED = 1, 2  # classes of the annotation files
BACKGROUND_COLOUR = (255, 0, 0)
COLOURS = {GENUINE: (0, 255, 0), TAMPERED: (0, 0, 255)}

Box = tuple[int, int, int, int, int]


class TamperedIC13(TextDataset):
    """Tampered text detection from `root/{train,test}_{img,gt}` (ECCV 2022, Wang et al.).

    The label is a picture: red background, genuine words green, tampered words blue. The evaluation
    label is uint8 (H, W, 3) at the size of the file.

    Args:
        root: folder of the data set.
        split: train or test.
        transforms: see `TextDataset`.
        name: of the data set.
    """

    task = "tampered_text_detection"
    fields: ClassVar = {
        "image": Field(),
        "label": Field(Image.Resampling.NEAREST, fill=BACKGROUND_COLOUR),
    }

    def __init__(
        self, root: Path, split: str, transforms: Sequence[Transform], name: str = "Tampered-IC13"
    ) -> None:
        check_split(split, SPLITS)
        images = list_files(Path(root) / f"{split}_img")
        folder = Path(root) / f"{split}_gt"
        labels = list_files(folder, (".txt",))
        items = [
            Item(stem, image, partner(labels, folder, stem, image))
            for stem, image in images.items()
        ]
        super().__init__(name, items, transforms)

    def read(self, item: Item) -> Images:
        """RGB `image` and painted `label` of the same size."""
        image = read_rgb(item.image)
        return {"image": image, "label": paint_boxes(read_boxes(item.label), image.size)}


def read_boxes(path: Path) -> list[Box]:
    """Boxes `x1, y1, x2, y2, class` in pixels, class 1 genuine or 2 tampered; maybe none.

    Raises ValueError naming the file and the line for anything else.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a UTF-8 text file") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot read this annotation ({error.strerror})") from None
    numbered = enumerate(lines, start=1)
    return [_parse_box(line, f"{path}:{number}") for number, line in numbered if line.strip()]


def _parse_box(line: str, place: str) -> Box:
    parts = [part.strip() for part in line.split(",")]
    if len(parts) != 5 or not all(re.fullmatch(r"-?[0-9]+", part) for part in parts):
        raise ValueError(f"{place}: {line[:80]!r} is not five integers x1,y1,x2,y2,class")
    x1, y1, x2, y2, kind = (int(part) for part in parts)
    if kind not in COLOURS:
        raise ValueError(f"{place}: unknown class {kind}, expected 1 (genuine) or 2 (tampered)")
    return x1, y1, x2, y2, kind


def paint_boxes(boxes: Sequence[Box], size: tuple[int, int]) -> Image.Image:
    """RGB picture of `size` (width, height) with the boxes filled in order, both corners included.

    The corners may come in any order; what lies outside the picture is cut off.
    """
    width, height = size
    picture = np.full((height, width, 3), BACKGROUND_COLOUR, dtype=np.uint8)
    for x1, y1, x2, y2, kind in boxes:
        rows = slice(max(0, min(y1, y2)), max(0, max(y1, y2) + 1))
        columns = slice(max(0, min(x1, x2)), max(0, max(x1, x2) + 1))
        picture[rows, columns] = COLOURS[kind]
    return Image.fromarray(picture)
