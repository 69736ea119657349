"""Rings: round signs with words along their edge and sometimes in their middle."""

from dataclasses import dataclass, replace

from numpy.random import Generator

from synthesis.sampling import coin, log_uniform
from synthesis.scene.fitting import View, WarpedText, draw_angle, fit_text
from synthesis.scene.geometry import along_circle
from synthesis.scene.wording import Wording, draw_covered_words, draw_setting
from synthesis.text.fonts import Face, FontBook
from synthesis.text.typesetting import LETTER_HEIGHT, Line, TextLayout

_LONGEST_ARC, _WHOLE_RING = 4.2, 5.6  # radians: of the words at its top; of all words on a ring


@dataclass(frozen=True)
class Ring:
    """Words on a circle around (0, 0).

    Args:
        height: of the letters along the edge, pixels.
        radius: of their middle line, pixels.
        angle: rotation of the circle, radians.
        script, face: of all words.
        min_height: minimum height of letters, pixels.
    """

    height: float
    radius: float
    angle: float
    script: str
    face: Face
    min_height: float

    def draw_edge(self, rng: Generator) -> list[WarpedText]:
        """Text at the top and sometimes at the bottom; none if the first is too long."""
        texts: list[WarpedText] = []
        room = _LONGEST_ARC
        for below in (False, True) if coin(rng, 0.6) else (False,):
            wording = self._draw_wording(rng, int(rng.integers(1, 4)))
            if wording is None:
                break
            setting = draw_setting(rng, wording, self.height / LETTER_HEIGHT)
            layout = TextLayout(wording.lines, replace(setting, vertical=False))
            warp = along_circle(layout.canvas, layout.scale, self.angle, self.radius, below)
            if abs(warp.bend.amount) > room:
                break
            texts.append(WarpedText(layout.render(), warp, self.script, self.height))
            room = _WHOLE_RING - abs(warp.bend.amount)
        return texts

    def draw_middle(self, rng: Generator, side: float) -> list[WarpedText]:
        """A word in a square of `side` pixels; none without room."""
        wording = self._draw_wording(rng, 1)
        if wording is None:
            return []
        setting = draw_setting(rng, wording, self.height * rng.uniform(0.6, 2.0))
        text = fit_text(wording, setting, View(self.angle), (side, side), self.min_height)
        return [text] if text else []

    def _draw_wording(self, rng: Generator, count: int) -> Wording | None:
        words = draw_covered_words(rng, self.script, self.face, count)
        return Wording(self.script, [Line(words, self.face.path)]) if words else None


def draw_ring(rng: Generator, fonts: FontBook, size: int, min_height: float) -> Ring:
    """A ring for a picture of `size` pixels."""
    height = log_uniform(rng, max(14, min_height), 80 * size / 512)
    radius = min(height * rng.uniform(2.0, 5.5), 0.45 * size - 1.5 * height)
    angle = draw_angle(rng, upright=False)
    script = fonts.draw_script(rng)
    return Ring(height, radius, angle, script, fonts.draw_face(rng, script), min_height)
