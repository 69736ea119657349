"""Typesetting: lines of words become the coverage of a flat canvas and a box per word."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

from synthesis.sampling import coin
from synthesis.text.fonts import load_font, needs_shaping

LETTER_HEIGHT = 0.72  # of the em, roughly: sizes are drawn as letter heights
_LARGE = 64  # pixels per em; smaller letters are rendered at twice the size and reduced by the warp
_SLACK = {"left": 0.0, "center": 0.5, "right": 1.0}  # share of a line's slack on its left

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels


@dataclass(frozen=True)
class Line:
    """Words of one line in one font; `size` is relative to the block's."""

    words: tuple[str, ...]
    font: str
    size: float = 1.0


@dataclass(frozen=True)
class Setting:
    """Parameters of typesetting.

    Args:
        size: pixels per em in the photograph.
        align: left, center or right.
        leading: distance between baselines in em, mostly of the line below.
        tracking: extra space between letters in em; only for scripts with separate letters.
        word_space: in em.
        vertical: letters run down and lines from right to left, as on East Asian signs.
    """

    size: float
    align: str = "center"
    leading: float = 1.2
    tracking: float = 0.0
    word_space: float = 0.3
    vertical: bool = False

    def em(self, line: Line, scale: float) -> int:
        """Canvas pixels per em of a line."""
        return max(6, round(self.size * line.size * scale))


@dataclass(frozen=True)
class Word:
    """A word on the canvas.

    Args:
        text: the string.
        font: path of its font.
        size: pixels per em on the canvas.
        box: of its ink, in canvas pixels.
        baseline: canvas y.
    """

    text: str
    font: str
    size: int
    box: Box
    baseline: int


@dataclass(frozen=True)
class TextBlock:
    """Text on a flat canvas.

    Args:
        coverage: uint8 (h, w), 255 where ink covers the whole pixel.
        words: in reading order.
        scale: canvas pixels per pixel of the photograph.
    """

    coverage: np.ndarray
    words: tuple[Word, ...]
    scale: float


class TextLayout:
    """Lines of text with the position of every letter, not yet rendered: to see whether they fit.

    Args:
        lines: at least one.
        setting: see `Setting`.
    """

    def __init__(self, lines: Sequence[Line], setting: Setting) -> None:
        self.scale = 2.0 if setting.size < _LARGE else 1.0
        lay_out = _vertical if setting.vertical else _horizontal
        self._words = lay_out(lines, setting, self.scale)
        self._boxes = np.array([_ink_box(word) for word in self._words])  # (N, 4)
        self._corner = self._boxes[:, :2].min(axis=0) - 2
        width, height = self._boxes[:, 2:].max(axis=0) + 2 - self._corner
        self.canvas = (int(height), int(width))

    def render(self, pad: int = 0) -> TextBlock:
        """The block with an empty margin of `pad` canvas pixels; ValueError if it shows no ink."""
        picture = Image.new("L", self.canvas[::-1])
        draw = ImageDraw.Draw(picture)
        left, top = self._corner
        for run in (run for word in self._words for run in word):
            draw.text((run.x - left, run.y - top), run.text, fill=255, font=run.face, anchor="ls")
        coverage = np.pad(np.array(picture), pad)
        if not coverage.any():
            raise ValueError(f"no ink in {[run.text for word in self._words for run in word]}")
        words = []
        for word, box in zip(self._words, self._boxes, strict=True):
            text, last = "".join(run.text for run in word), word[-1]
            x1, y1, x2, y2 = (box - np.tile(self._corner - pad, 2)).tolist()
            baseline = int(last.y - top + pad)
            words.append(Word(text, last.font, last.size, (x1, y1, x2, y2), baseline))
        return TextBlock(coverage, tuple(words), self.scale)


def stencilled(rng: Generator, block: TextBlock) -> TextBlock:
    """The block with bridges through its letters, as stencils have them: upright or level ones."""
    coverage = block.coverage.copy()
    level, width = coin(rng, 0.5), rng.uniform(0.05, 0.09)
    phase, pitch = rng.uniform(0.2, 0.5), rng.uniform(0.55, 0.75)
    for word in block.words:
        left, top, right, bottom = word.box
        letters = coverage[top:bottom, left:right]
        before, bridge = letters.copy(), max(2, round(width * word.size))
        if level:
            start = int(phase * (bottom - top))
            letters[start : start + bridge] = 0
        for start in (
            ()
            if level
            else np.arange(phase * word.size, right - left, pitch * word.size).astype(int)
        ):
            letters[:, start : start + bridge] = 0
        if not letters.any():
            letters[:] = before
    return replace(block, coverage=coverage)


@dataclass(frozen=True)
class _Run:
    """A word or a letter, rendered in one go from a point on the baseline."""

    text: str
    font: str
    size: int
    x: float
    y: int = 0

    @property
    def face(self) -> ImageFont.FreeTypeFont:
        return load_font(self.font, self.size, needs_shaping(self.text))


_Word = list[_Run]


def _ink_box(word: _Word) -> Box:
    """Box of a word, with a pixel to spare for antialiasing."""
    corners = []
    for run in word:
        left, top, right, bottom = map(int, run.face.getbbox(run.text, anchor="ls"))
        x = int(np.floor(run.x))
        corners.append((left + x - 1, top + run.y - 1, right + x + 2, bottom + run.y + 2))
    lefts, tops, rights, bottoms = zip(*corners, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _horizontal(lines: Sequence[Line], setting: Setting, scale: float) -> list[_Word]:
    rows = [_set_line(line, setting.em(line, scale), setting) for line in lines]
    widest = max(width for _, width in rows)
    words: list[_Word] = []
    baseline, above = 0, 0
    for line, (row, width) in zip(lines, rows, strict=True):
        size = setting.em(line, scale)
        baseline += round(setting.leading * (0.3 * above + 0.7 * size)) if above else 0
        above = size
        shift = (widest - width) * _SLACK[setting.align]
        words += [[replace(run, x=run.x + shift, y=baseline) for run in word] for word in row]
    return words


def _set_line(line: Line, size: int, setting: Setting) -> tuple[list[_Word], float]:
    """Words of a line on a baseline at 0, and its width."""
    face = load_font(line.font, size, any(map(needs_shaping, line.words)))
    words, x = [], 0.0
    for text in line.words:
        word = []
        for part in text if setting.tracking else [text]:
            word.append(_Run(part, line.font, size, x))
            x += face.getlength(part) + setting.tracking * size
        x += (setting.word_space - setting.tracking) * size
        words.append(word)
    return words, x - setting.word_space * size


def _vertical(lines: Sequence[Line], setting: Setting, scale: float) -> list[_Word]:
    words, x = [], 0.0
    for line in lines:
        size = setting.em(line, scale)
        face, y = load_font(line.font, size), 0.0
        x -= 1.3 * size
        for text in line.words:
            word = []
            for letter in text:
                indent = (size - face.getlength(letter)) / 2
                word.append(_Run(letter, line.font, size, x + indent, round(y)))
                y += 1.08 * size
            y += setting.word_space * size
            words.append(word)
    return words
