"""Geometry: from the flat canvas of a text to the photograph, bent and in perspective."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from synthesis.scene.regions import Region


@dataclass(frozen=True)
class Bend:
    """Deformation of the canvas before the perspective.

    Args:
        kind: none, arc (letters on a circle) or wave (a banner in the wind).
        amount: of an arc, the angle in radians that the canvas spans, positive if its middle is
            highest; of a wave, its height in canvas heights.
        phase: of a wave, in radians.
    """

    kind: str = "none"
    amount: float = 0.0
    phase: float = 0.0


UNBENT = Bend()
SUBPIXEL_BITS = 4  # of OpenCV's fixed-point coordinates


def fixed_point(points: np.ndarray) -> np.ndarray:
    """Points in pixels as OpenCV draws them with `SUBPIXEL_BITS`, int32."""
    return np.round(points * 2**SUBPIXEL_BITS).astype(np.int32)


def fill_polygon(canvas: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The canvas, uint8 (h, w), with a filled polygon (N, 2)."""
    return cv2.fillPoly(canvas, [fixed_point(points)], 255, cv2.LINE_AA, SUBPIXEL_BITS)


def polygon_mask(
    height: int, width: int, polygons: Sequence[np.ndarray], margin: int
) -> np.ndarray:
    """Mask, uint8 0 or 1, of filled polygons (N, 2), `margin` pixels wider on all sides."""
    mask = np.zeros((height, width), dtype=np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.round(polygon).astype(np.int32)], 1)
    return cv2.dilate(mask, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8))


class Warp:
    """Exact map between canvas pixels and pixels of the photograph, both ways.

    Args:
        canvas: (height, width) of the canvas.
        bend: see `Bend`.
        scale: canvas pixels per pixel of the photograph.
        angle: rotation in the photograph, radians.
        tilt: perspective, (horizontal, vertical), about -0.3 to 0.3.
        center: (x, y) of the canvas centre in the photograph.
    """

    def __init__(
        self,
        canvas: tuple[int, int],
        bend: Bend,
        scale: float,
        angle: float = 0.0,
        tilt: tuple[float, float] = (0.0, 0.0),
        center: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.canvas = canvas
        self.bend = bend
        self.center = np.array(center, dtype=np.float64)
        self._matrix = _perspective(canvas, scale, angle, tilt)
        self._inverse = np.linalg.inv(self._matrix)

    def moved_to(self, x: float, y: float) -> "Warp":
        """The same warp with another centre."""
        other = copy.copy(self)
        other.center = np.array((x, y), dtype=np.float64)
        return other

    def unbent(self) -> "Warp":
        """The same view of the flat canvas: for the sign behind the letters."""
        other = copy.copy(self)
        other.bend = UNBENT
        return other

    def forward(self, points: np.ndarray) -> np.ndarray:
        """Canvas points (N, 2), x and y, to points of the photograph (N, 2)."""
        x, y = self._bent(*np.asarray(points, dtype=np.float64).T)
        homogeneous = self._matrix @ np.stack([x, y, np.ones_like(x)])
        return (homogeneous[:2] / homogeneous[2]).T + self.center

    def outline(self, box: tuple[float, float, float, float], steps: int = 8) -> np.ndarray:
        """A canvas box as a polygon (N, 2): 4 vertices, 2 * (steps + 1) if it is bent."""
        left, top, right, bottom = box
        steps = steps if self.bend.kind != "none" else 1
        across = np.linspace(left, right, steps + 1)
        upper = np.stack([across, np.full_like(across, top)], axis=1)
        lower = np.stack([across[::-1], np.full_like(across, bottom)], axis=1)
        return self.forward(np.concatenate([upper, lower]))

    def corners(self) -> np.ndarray:
        """Upper left and lower right corner of the warped canvas in the photograph, (2, 2)."""
        height, width = self.canvas
        polygon = self.outline((0, 0, width, height), steps=24)
        return np.stack([polygon.min(axis=0), polygon.max(axis=0)])

    def region(self) -> Region:
        """Whole pixels of the photograph that the warped canvas touches."""
        return Region.around(self.corners())

    def render(self, canvas: np.ndarray, region: Region) -> np.ndarray:
        """The canvas (h, w) in a region of the photograph, 0 outside."""
        x = np.arange(region.left, region.right, dtype=np.float32) - np.float32(self.center[0])
        y = np.arange(region.top, region.bottom, dtype=np.float32) - np.float32(self.center[1])
        y = y[:, None]
        m = self._inverse.astype(np.float32)
        weight = m[2, 0] * x + (m[2, 1] * y + m[2, 2])
        u = (m[0, 0] * x + (m[0, 1] * y + m[0, 2])) / weight
        v = (m[1, 0] * x + (m[1, 1] * y + m[1, 2])) / weight
        u, v = self._flat(u, v)
        return cv2.remap(canvas, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR)

    def _bent(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = self.canvas
        if self.bend.kind == "wave":
            return x, y + self._wave(x)
        if self.bend.kind == "arc":
            radius = width / self.bend.amount  # negative if the middle is lowest
            angle = (x - width / 2) / radius
            reach = radius + height / 2 - y
            return width / 2 + reach * np.sin(angle), height / 2 + radius - reach * np.cos(angle)
        return x, y

    def _flat(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = self.canvas
        if self.bend.kind == "wave":
            return x, y - self._wave(x)
        if self.bend.kind == "arc":
            radius = width / self.bend.amount
            across, down = x - width / 2, height / 2 + radius - y
            sign = np.sign(radius)
            angle = np.arctan2(sign * across, sign * down)
            return width / 2 + radius * angle, height / 2 + radius - sign * np.hypot(across, down)
        return x, y

    def _wave(self, x: np.ndarray) -> np.ndarray:
        height, width = self.canvas
        return self.bend.amount * height * np.sin(2 * np.pi * x / width + self.bend.phase)


def along_circle(
    canvas: tuple[int, int], scale: float, angle: float, radius: float, below: bool
) -> Warp:
    """A canvas (height, width) bent around the point (0, 0), its middle line `radius` pixels away.

    It stands upright at the top of the circle or, `below`, at its bottom; `angle` turns the circle.
    """
    side = -1 if below else 1
    bend = Bend("arc", side * canvas[1] / (scale * radius))
    center = side * radius * np.sin(angle), -side * radius * np.cos(angle)
    return Warp(canvas, bend, scale, angle, center=center)


def _perspective(
    canvas: tuple[int, int], scale: float, angle: float, tilt: tuple[float, float]
) -> np.ndarray:
    """Homography from canvas pixels to pixels around the canvas centre."""
    height, width = canvas
    longest = max(height, width)
    to_center = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    view = np.diag([1 / scale, 1 / scale, 1])
    view[2, :2] = tilt[0] / longest, tilt[1] / longest
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    return turn @ view @ to_center
