"""Fitting: text in a view of its plane, reduced until it fits its room."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from synthesis.sampling import coin, pick_weighted
from synthesis.scene.geometry import UNBENT, Bend, Warp
from synthesis.scene.regions import Region
from synthesis.scene.wording import Wording
from synthesis.text.typesetting import LETTER_HEIGHT, Setting, TextBlock, TextLayout

_TRIES = 3


@dataclass(frozen=True)
class View:
    """The plane of a text as the camera sees it, see `Warp`."""

    angle: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)
    bend: Bend = UNBENT


@dataclass(frozen=True)
class WarpedText:
    """A text block, the warp that puts it into the photograph, and the height of its letters."""

    block: TextBlock
    warp: Warp
    script: str
    height: float

    def region(self, size: int, margin: int = 0) -> Region:
        """The text with a margin inside a picture of size x size, pixels."""
        return self.warp.region().grown(margin).clipped(size)

    def moved_to(self, x: float, y: float) -> "WarpedText":
        """The same text with its centre at a point of the photograph."""
        return replace(self, warp=self.warp.moved_to(x, y))


def fit_text(
    wording: Wording,
    setting: Setting,
    view: View,
    room: tuple[float, float],
    min_height: float,
    pad: float = 0.0,
) -> WarpedText | None:
    """Text in `room` (width, height) around (0, 0), reduced if necessary.

    `pad` is an empty margin in em. None if letters would become smaller than `min_height` pixels.
    """
    for _ in range(_TRIES):
        layout = TextLayout(wording.lines, setting)
        pixels = round(pad * setting.size * layout.scale)
        margin, bend = _bend_margin(layout.canvas, view.bend, pixels)
        height, width = (side + 2 * margin for side in layout.canvas)
        warp = Warp((height, width), bend, layout.scale, view.angle, view.tilt)
        excess = float((np.diff(warp.corners(), axis=0) / room).max())
        if excess <= 1:
            letters = setting.size * LETTER_HEIGHT
            return WarpedText(layout.render(margin), warp, wording.script, letters)
        setting = replace(setting, size=0.97 * setting.size / excess)
        if setting.size * LETTER_HEIGHT < min_height:
            break
    return None


def draw_angle(rng: Generator, upright: bool) -> float:
    """Rotation of a text in radians, usually small, always so for an `upright` one."""
    if upright:
        return float(np.clip(rng.normal(0, 0.03), -0.09, 0.09))
    if coin(rng, 0.72):
        return rng.normal(0, 0.05)
    return rng.uniform(-0.5, 0.5) if coin(rng, 0.8) else rng.uniform(-np.pi, np.pi)


def draw_view(rng: Generator, upright: bool) -> View:
    """A view of a text; `upright` ones are turned and tilted a little and not bent."""
    angle = draw_angle(rng, upright)
    most = 0.12 if upright else 0.45
    tilt = rng.uniform(-most, most), rng.uniform(-most, most)
    return View(angle, tilt, UNBENT if upright else _draw_bend(rng))


def _draw_bend(rng: Generator) -> Bend:
    kind = pick_weighted(rng, {"none": 0.83, "arc": 0.13, "wave": 0.04})
    if kind == "arc":
        return Bend(kind, rng.uniform(0.5, 2.6) * (1 if coin(rng, 0.75) else -1))
    if kind == "wave":
        return Bend(kind, rng.uniform(0.06, 0.2), rng.uniform(0, 2 * np.pi))
    return UNBENT


def _bend_margin(canvas: tuple[int, int], bend: Bend, pad: int) -> tuple[int, Bend]:
    """Margin of a canvas (height, width) for a bend and `pad`, and the bend of the wider canvas."""
    height, width = canvas
    if bend.kind == "arc" and width > 2.5 * height:
        # The inner edge of a ring must not shrink to a point: the radius stays above 0.9 heights.
        most = width / (0.9 * height)
        amount = float(np.clip(bend.amount, -most, most))
        rise = round(width * abs(np.tan(amount / 8)) * 1.1)  # of the middle above the ends
        margin = rise + pad if pad else 2
        return margin, replace(bend, amount=amount * (width + 2 * margin) / width)
    if bend.kind == "wave":
        return max(pad, round(2 * bend.amount * height)), bend
    return pad, UNBENT
