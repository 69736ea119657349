"""From maps of pixels to regions of text: boxes, polygons, scores."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np


@dataclass
class Region:
    """A connected group of pixels of one class.

    Args:
        label: name of the class, such as `genuine` or `tampered`.
        box: x1, y1, x2, y2 in pixels, the last two exclusive.
        polygon: outline as (x, y) pairs of pixels.
        score: mean score of the pixels, 0-1.
        area: number of pixels.
    """

    label: str
    box: tuple[int, int, int, int]
    polygon: list[tuple[int, int]]
    score: float
    area: int

    def as_dict(self) -> dict[str, Any]:
        """Fields for JSON, where the label is called `class`."""
        fields = asdict(self)
        return {"class": fields.pop("label"), **fields}


def find_regions(
    classes: np.ndarray, scores: np.ndarray, names: Sequence[str], min_area: int
) -> list[Region]:
    """Regions of all classes but the first, in reading order of their corners.

    Args:
        classes: (H, W) uint8, indices of `names`.
        scores: (H, W) uint8, 255 is certain.
        names: of the classes.
        min_area: smaller regions are left out, in pixels.
    """
    found = []
    for index, name in enumerate(names):
        if index == 0:
            continue
        mask = (classes == index).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        for number in range(1, count):
            if stats[number, cv2.CC_STAT_AREA] >= min_area:
                found.append(_region(name, labels, number, stats[number], scores))
    return sorted(found, key=lambda region: (region.box[1], region.box[0]))


def _region(
    label: str, labels: np.ndarray, number: int, stats: np.ndarray, scores: np.ndarray
) -> Region:
    left, top, width, height, area = (int(n) for n in stats)
    window = np.s_[top : top + height, left : left + width]
    inside = labels[window] == number
    outlines, _ = cv2.findContours(
        inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top)
    )
    return Region(
        label,
        (left, top, left + width, top + height),
        [(int(x), int(y)) for x, y in outlines[0][:, 0]],
        round(float(scores[window][inside].mean()) / 255, 4),
        area,
    )
