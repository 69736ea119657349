"""Regions: axis-aligned rectangles of whole pixels."""

from typing import NamedTuple

import numpy as np


class Region(NamedTuple):
    """Sides of a rectangle in pixels; right and bottom are excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def around(cls, points: np.ndarray) -> "Region":
        """The whole pixels that points (N, 2), x and y, touch."""
        left, top = np.floor(points.min(axis=0)).astype(int).tolist()
        right, bottom = np.ceil(points.max(axis=0)).astype(int).tolist()
        return cls(left, top, right + 1, bottom + 1)

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.bottom - self.top

    @property
    def window(self) -> tuple[slice, slice]:
        """Index of its pixels in an array (H, W, ...)."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grown(self, margin: int) -> "Region":
        """The region with `margin` more pixels on every side."""
        left, top, right, bottom = self
        return Region(left - margin, top - margin, right + margin, bottom + margin)

    def clipped(self, size: int) -> "Region":
        """The part inside a picture of size x size, at least one pixel."""
        left, top = (min(max(0, side), size - 1) for side in self[:2])
        right, bottom = (min(side, size) for side in self[2:])
        return Region(left, top, max(left + 1, right), max(top + 1, bottom))
