"""From maps of pixels to regions of text: boxes, polygons, scores."""

from dataclasses import asdict, dataclass

import cv2
import numpy as np

CLASSES = ("background", "real", "tampered")  # channels red, green, blue of the network


@dataclass
class Region:
    """A connected group of pixels of one class.

    Args:
        label: `real` or `tampered`.
        box: x1, y1, x2, y2 in pixels, the last two exclusive.
        polygon: outline, (x, y) pairs of pixels.
        score: mean certainty of its pixels, 0-1.
        area: number of its pixels.
    """

    label: str
    box: tuple[int, int, int, int]
    polygon: list[tuple[int, int]]
    score: float
    area: int

    def as_dict(self) -> dict:
        """For JSON; the label is called `class` there."""
        fields = asdict(self)
        return {"class": fields.pop("label"), **fields}


def find_regions(classes: np.ndarray, scores: np.ndarray, min_area: int) -> list[Region]:
    """Regions of text of at least `min_area` pixels, in reading order of their corners.

    classes: (H, W) uint8, see `CLASSES`; scores: (H, W) uint8, 255 is certain.
    """
    found = []
    for index in (1, 2):
        mask = (classes == index).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        for number in range(1, count):
            if stats[number, cv2.CC_STAT_AREA] >= min_area:
                found.append(_region(CLASSES[index], labels, number, stats[number], scores))
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
