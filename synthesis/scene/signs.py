"""Signs: the filled plates of signs, labels and shop fronts, behind text."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from synthesis.photo.recolouring import hsv_to_rgb
from synthesis.sampling import coin, pick, pick_weighted
from synthesis.scene.geometry import Warp, fill_polygon
from synthesis.scene.regions import Region
from synthesis.text.lettering import Style, draw_colour, luma, to_colour
from synthesis.text.painting import paint


@dataclass(frozen=True)
class Sign:
    """A plate in the plane of a text block.

    Args:
        shape: rectangle, rounded or ellipse.
        style: of its paint.
        border: width of the line along its edge, relative to the shorter side; 0 disables it.
        shadow: opacity of its shadow on the wall; 0 if it is painted on the wall.
        grain: grey levels of the texture of its own material.
    """

    shape: str
    style: Style
    border: float
    shadow: float
    grain: float


def draw_sign(rng: Generator, surface: np.ndarray, bent: bool) -> Sign:
    """A sign for a surface, uint8 (h, w, 3); an ellipse for bent text."""
    on_wall = coin(rng, 0.12)
    shapes = {"rectangle": 0.5, "rounded": 0.4, "ellipse": 0.1}
    shape = "ellipse" if bent else pick_weighted(rng, shapes)
    flat = coin(rng, 0.25)  # a board of one saturated colour
    colour = draw_colour(rng, surface, least=10)
    if flat:
        saturated = hsv_to_rgb(rng.uniform(0, 360), rng.uniform(0.7, 1.0), rng.uniform(0.4, 1.0))
        colour = to_colour(saturated)
    second = to_colour(np.multiply(colour, rng.uniform(0.75, 1.2, 3)))
    style = Style(
        colour,
        second if not flat and coin(rng, 0.5) else colour,
        gradient_angle=rng.uniform(0, 2 * np.pi),
        opacity=rng.uniform(0.85, 0.95) if coin(rng, 0.08) else 1.0,
        # A plate has its own relief; only paint on the wall itself shows the wall's.
        shading=rng.uniform(0.2, 0.5) if on_wall else 0.0,
        texture=rng.uniform(0.2, 0.6) if on_wall else 0.0,
    )
    return Sign(
        shape,
        style,
        border=rng.uniform(0.012, 0.04) if coin(rng, 0.4) else 0.0,
        shadow=0.0 if on_wall else rng.uniform(0.2, 0.8),
        grain=rng.uniform(0.0, 0.5) if flat else rng.uniform(0.5, 4.0),
    )


def paint_sign(
    rng: Generator, under: np.ndarray, sign: Sign, warp: Warp, region: Region
) -> np.ndarray:
    """Paint a sign over `under`, the pixels uint8 (h, w, 3) of a region of the photograph.

    The sign fills the canvas of `warp`, without its bend.
    """
    flat = warp.unbent()
    side = min(flat.canvas)
    plate = flat.render(_shape(sign.shape, flat.canvas, side * 0.02), region)
    picture = _shaded(rng, under, plate, sign.shadow) if sign.shadow else under
    picture, _ = paint(picture, under, plate, sign.style)
    if sign.border:
        insets = (side * 0.05, side * 0.05 + sign.border * side)
        outer, inner = (_shape(sign.shape, flat.canvas, inset) for inset in insets)
        line = flat.render(cv2.subtract(outer, inner), region)
        level = 235.0 if luma(sign.style.colour) < 128 else 25.0
        style = Style((level,) * 3, (level,) * 3, texture=sign.style.texture)
        picture, _ = paint(picture, under, line, style)
    return _grained(rng, picture, plate, sign.grain)


def _shape(kind: str, canvas: tuple[int, int], inset: float) -> np.ndarray:
    """Coverage uint8 of a filled shape, `inset` pixels inside the canvas (height, width)."""
    height, width = canvas
    half = np.array([width / 2 - inset, height / 2 - inset])
    if kind == "ellipse":
        points = half * _unit_circle(np.linspace(0, 2 * np.pi, 90, endpoint=False))
    else:
        points = _rounded_corners(half, 0.16 * min(height, width) if kind == "rounded" else 0.0)
    return fill_polygon(np.zeros(canvas, np.uint8), points + np.array([width / 2, height / 2]))


def _unit_circle(angles: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _rounded_corners(half: np.ndarray, radius: float) -> np.ndarray:
    """Outline (N, 2) of a rectangle of the half sizes `half` (2,) around (0, 0)."""
    corner = half - radius + radius * _unit_circle(np.linspace(0, np.pi / 2, 10))
    left, opposite, right = (corner * signs for signs in ((-1, 1), (-1, -1), (1, -1)))
    return np.concatenate([corner, left[::-1], opposite, right[::-1]])


def _shaded(rng: Generator, under: np.ndarray, plate: np.ndarray, opacity: float) -> np.ndarray:
    """The picture with the shadow of a plate, uint8 (h, w), on it."""
    x, y = rng.integers(-4, 5), rng.integers(1, 6)
    shadow = np.roll(plate, (y, x), axis=(0, 1))
    shadow = cv2.GaussianBlur(shadow, (0, 0), rng.uniform(1.5, 4.0))
    keep = 1 - (opacity / 255) * shadow.astype(np.float32)
    return (under * keep[..., None]).astype(np.uint8)


def _grained(rng: Generator, picture: np.ndarray, plate: np.ndarray, levels: float) -> np.ndarray:
    height, width = plate.shape
    step = pick(rng, (3, 8, 24))  # brushed, stained or cloudy
    coarse = rng.standard_normal((height // step + 2, width // step + 2), dtype=np.float32) * levels
    grain = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * (plate > 127)
    return cv2.add(picture, cv2.merge([grain] * 3), dtype=cv2.CV_8U)
