"""Boxes of genuine and tampered text: annotation files and label pictures."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tasks import TAMPERED_TEXT_DETECTION
from utils.files import read_text
from utils.quote import quote

CLASSES = TAMPERED_TEXT_DETECTION.classes  # 0 is the background, which no box has
MAX_DIGITS = 9  # of a number, its sign included

Box = tuple[int, int, int, int, int]  # x1, y1, x2, y2 in pixels, class


def read_boxes(path: Path) -> list[Box]:
    """Boxes of a text file with lines `x1,y1,x2,y2,class`; class 1 is genuine, 2 tampered.

    Raises ValueError naming the file and the line for anything else.
    """
    numbered = enumerate(read_text(path).splitlines(), start=1)
    return [_parse_box(line, f"{path}:{number}") for number, line in numbered if line.strip()]


def _parse_box(line: str, place: str) -> Box:
    parts = [part.strip() for part in line.split(",")]
    if len(parts) != 5 or not all(re.fullmatch(r"-?[0-9]+", part) for part in parts):
        raise ValueError(f"{place}: {line[:80]!r} is not five integers x1,y1,x2,y2,class")
    if max(map(len, parts)) > MAX_DIGITS:
        raise ValueError(f"{place}: {quote(line)} has a number of more than {MAX_DIGITS} digits")
    x1, y1, x2, y2, number = (int(part) for part in parts)
    if not 0 < number < len(CLASSES):
        choices = " or ".join(f"{i} ({each.name})" for i, each in enumerate(CLASSES) if i)
        raise ValueError(f"{place}: unknown class {number}, expected {choices}")
    return x1, y1, x2, y2, number


def paint_boxes(boxes: Sequence[Box], size: tuple[int, int]) -> Image.Image:
    """RGB picture of `size` (width, height): boxes filled in order, both corners included.

    The corners may come in any order; boxes are clipped to the picture.
    """
    width, height = size
    classes = np.zeros((height, width), np.uint8)
    for x1, y1, x2, y2, number in boxes:
        rows = slice(max(0, min(y1, y2)), max(0, max(y1, y2) + 1))
        columns = slice(max(0, min(x1, x2)), max(0, max(x1, x2) + 1))
        classes[rows, columns] = number
    return Image.fromarray(TAMPERED_TEXT_DETECTION.class_picture(classes))
