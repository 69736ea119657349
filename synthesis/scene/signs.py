"""Panels: the filled plates of signs, labels and shop fronts that text stands on."""

from dataclasses import dataclass

import cv2
import numpy as np

from synthesis.sampling import between, coin, pick, pick_weighted
from synthesis.scene.geometry import Warp
from synthesis.text.lettering import Style, draw_colour, luma, paint

_SUBPIXELS = 4  # bits of OpenCV's fixed-point coordinates


@dataclass(frozen=True)
class Panel:
    """A plate in the plane of a block of text.

    Args:
        shape: rectangle, rounded or ellipse.
        style: of its paint.
        border: width of the line along its edge, in shares of the shorter side; 0 is none.
        border_style: of that line.
        shadow: opacity of the shadow that it throws on the wall; 0 if it is painted on it.
        grain: grey levels of the texture of its own material.
    """

    shape: str
    style: Style
    border: float
    border_style: Style
    shadow: float
    grain: float


def draw_panel(rng: np.random.Generator, surface: np.ndarray, bent: bool) -> Panel:
    """A panel for a surface, uint8 (h, w, 3); around bent text it is an ellipse."""
    on_wall = coin(rng, 0.12)
    shape = (
        "ellipse"
        if bent
        else pick_weighted(rng, {"rectangle": 0.5, "rounded": 0.4, "ellipse": 0.1})
    )
    colour = draw_colour(rng, surface, contrast=10)
    second = tuple(float(np.clip(channel * between(rng, 0.75, 1.2), 4, 250)) for channel in colour)
    style = Style(
        colour,
        second if coin(rng, 0.5) else colour,
        gradient_angle=between(rng, 0, 2 * np.pi),
        opacity=between(rng, 0.85, 0.95) if coin(rng, 0.08) else 1.0,
        # A plate has its own relief; only what is painted on the wall itself shows the wall's.
        shading=between(rng, 0.2, 0.5) if on_wall else 0.0,
        texture=between(rng, 0.2, 0.6) if on_wall else 0.0,
    )
    line = 235.0 if luma(colour) < 128 else 25.0
    border_style = Style((line,) * 3, (line,) * 3, texture=style.texture)
    return Panel(
        shape,
        style,
        border=between(rng, 0.012, 0.04) if coin(rng, 0.4) else 0.0,
        border_style=border_style,
        shadow=0.0 if on_wall else between(rng, 0.2, 0.8),
        grain=between(rng, 0.5, 4.0),
    )


def paint_panel(
    rng: np.random.Generator,
    under: np.ndarray,
    panel: Panel,
    warp: Warp,
    region: tuple[int, int, int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Paint a panel over `under`, the pixels uint8 (h, w, 3) of a region of the photograph.

    The panel fills the canvas of `warp`, without its bend. Returns the picture and the panel's
    coverage, uint8 (h, w).
    """
    flat = warp.unbent()
    side = min(flat.canvas)
    plate = flat.render(_shape(panel.shape, flat.canvas, side * 0.02), region)
    picture = under
    if panel.shadow:
        picture = _shaded(rng, under, plate, panel.shadow)
    picture, _ = paint(picture, under, plate, panel.style)
    if panel.border:
        width = panel.border * side
        outer, inner = (_shape(panel.shape, flat.canvas, side * 0.05 + step) for step in (0, width))
        ring = flat.render(cv2.subtract(outer, inner), region)
        picture, _ = paint(picture, under, ring, panel.border_style)
    return _grained(rng, picture, plate, panel.grain), plate


def _shape(kind: str, canvas: tuple[int, int], inset: float) -> np.ndarray:
    height, width = canvas
    if kind == "ellipse":
        angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
        points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        points *= np.array([width / 2 - inset, height / 2 - inset])
    else:
        radius = 0.16 * min(height, width) if kind == "rounded" else 0.0
        points = _rounded_corners(width / 2 - inset, height / 2 - inset, radius)
    points = points + np.array([width / 2, height / 2])
    picture = np.zeros(canvas, dtype=np.uint8)
    fixed = np.round(points * 2**_SUBPIXELS).astype(np.int32)
    return cv2.fillPoly(picture, [fixed], 255, cv2.LINE_AA, _SUBPIXELS)


def _rounded_corners(half_width: float, half_height: float, radius: float) -> np.ndarray:
    angle = np.linspace(0, np.pi / 2, 10)
    arc = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    corner = np.array([half_width - radius, half_height - radius])
    corners = [corner + arc]
    for sign_x, sign_y, order in ((-1, 1, -1), (-1, -1, 1), (1, -1, -1)):
        corners.append(((corner + arc) * np.array([sign_x, sign_y]))[::order])
    return np.concatenate(corners)


def _shaded(
    rng: np.random.Generator, under: np.ndarray, plate: np.ndarray, opacity: float
) -> np.ndarray:
    shift = [int(rng.integers(-4, 5)), int(rng.integers(1, 6))]
    dark = cv2.GaussianBlur(
        np.roll(plate, shift[::-1], axis=(0, 1)), (0, 0), between(rng, 1.5, 4.0)
    )
    keep = 1 - (opacity / 255) * dark.astype(np.float32)
    return (under * keep[..., None]).astype(np.uint8)


def _grained(
    rng: np.random.Generator, picture: np.ndarray, plate: np.ndarray, levels: float
) -> np.ndarray:
    height, width = plate.shape
    step = pick(rng, (3, 8, 24))  # brushed, stained or cloudy
    coarse = rng.standard_normal((height // step + 2, width // step + 2), dtype=np.float32) * levels
    grain = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * (plate > 127)
    return cv2.add(picture, cv2.merge([grain] * 3), dtype=cv2.CV_8U)
