"""Typesetting: lines of words become the coverage of one flat canvas and a box for every word."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from synthesis.text.fonts import load_font, needs_shaping

LETTER_HEIGHT = 0.72  # of the em, roughly: sizes are drawn as letter heights
_LARGE = 64  # pixels per em; smaller letters are drawn at twice the size and reduced by the warp


@dataclass(frozen=True)
class Line:
    """Words of one line in one font; `size` is relative to the block's."""

    words: tuple[str, ...]
    font: str
    size: float = 1.0


@dataclass(frozen=True)
class Setting:
    """How lines are set.

    Args:
        size: pixels per em in the photograph.
        align: left, center or right.
        leading: distance of baselines in em, rather of the lower line's than of the upper one's.
        tracking: extra space between letters in em; only for scripts whose letters stand alone.
        word_space: in em.
        vertical: letters one below the other, lines from right to left, as on East Asian signs.
    """

    size: float
    align: str = "center"
    leading: float = 1.2
    tracking: float = 0.0
    word_space: float = 0.3
    vertical: bool = False


@dataclass(frozen=True)
class Word:
    """A word on the canvas.

    Args:
        text: the string.
        font: path of its font.
        size: pixels per em on the canvas.
        box: left, top, right, bottom of its ink in canvas pixels.
        baseline: canvas y.
    """

    text: str
    font: str
    size: int
    box: tuple[int, int, int, int]
    baseline: int


@dataclass(frozen=True)
class Block:
    """Text set on a flat canvas.

    Args:
        coverage: uint8 (h, w), 255 where the ink covers the whole pixel.
        words: in reading order.
        scale: canvas pixels per pixel of the photograph.
    """

    coverage: np.ndarray
    words: tuple[Word, ...]
    scale: float

    def padded(self, pad: int) -> "Block":
        """The same block with an empty margin of `pad` canvas pixels."""
        words = [
            replace(word, box=tuple(side + pad for side in word.box), baseline=word.baseline + pad)
            for word in self.words
        ]
        return replace(self, coverage=np.pad(self.coverage, pad), words=tuple(words))


def typeset(lines: Sequence[Line], setting: Setting) -> Block:
    """Set and draw lines of text. Raises ValueError if nothing would be seen."""
    return Arrangement(lines, setting).draw()


class Arrangement:
    """Lines of text with the place of every letter, not yet drawn: to see whether they fit.

    Args:
        lines: to set.
        setting: how.
    """

    def __init__(self, lines: Sequence[Line], setting: Setting) -> None:
        self.scale = 2.0 if setting.size < _LARGE else 1.0
        arrange = _vertical if setting.vertical else _horizontal
        self._pieces = arrange(lines, setting, self.scale)
        self._boxes = np.array([piece.box() for piece in self._pieces])
        self._corner = self._boxes[:, :2].min(axis=0) - 2
        width, height = self._boxes[:, 2:].max(axis=0) + 2 - self._corner
        self.canvas = (int(height), int(width))

    def draw(self) -> Block:
        """The block. Raises ValueError if nothing would be seen."""
        picture = Image.new("L", self.canvas[::-1])
        draw = ImageDraw.Draw(picture)
        left, top = self._corner
        for piece in self._pieces:
            place = (piece.x - left, piece.y - top)
            draw.text(place, piece.text, fill=255, font=piece.face(), anchor="ls")
        coverage = np.array(picture)
        if not coverage.any():
            raise ValueError(f"no ink in {[piece.text for piece in self._pieces]}")
        return Block(coverage, tuple(self._words()), self.scale)

    def _words(self) -> list[Word]:
        boxes = self._boxes - np.tile(self._corner, 2)
        numbers = np.array([piece.word for piece in self._pieces])
        words = []
        for number in np.unique(numbers):
            members = np.flatnonzero(numbers == number)
            box = (*boxes[members, :2].min(axis=0), *boxes[members, 2:].max(axis=0))
            last = self._pieces[members[-1]]
            text = "".join(self._pieces[member].text for member in members)
            baseline = int(last.y - self._corner[1])
            words.append(Word(text, last.font, last.size, tuple(map(int, box)), baseline))
        return words


@dataclass(frozen=True)
class _Piece:
    """Text drawn in one go at a baseline point; `word` numbers the word it belongs to."""

    text: str
    font: str
    size: int
    x: float
    y: int
    word: int

    def face(self) -> ImageFont.FreeTypeFont:
        """Its font."""
        return load_font(self.font, self.size, needs_shaping(self.text))

    def box(self) -> tuple[int, int, int, int]:
        """Ink box with a pixel to spare for antialiasing."""
        left, top, right, bottom = self.face().getbbox(self.text, anchor="ls")
        x = int(np.floor(self.x))
        return (
            int(left) + x - 1,
            int(top) + self.y - 1,
            int(right) + x + 2,
            int(bottom) + self.y + 2,
        )


def _em(line: Line, setting: Setting, scale: float) -> int:
    return max(6, round(setting.size * line.size * scale))


def _horizontal(lines: Sequence[Line], setting: Setting, scale: float) -> list[_Piece]:
    rows = [_set_line(line, _em(line, setting, scale), setting) for line in lines]
    widest = max(width for _, width in rows)
    slack = {"left": 0.0, "center": 0.5, "right": 1.0}[setting.align]
    pieces, baseline, first_word, above = [], 0, 0, 0
    for line, (row, width) in zip(lines, rows, strict=True):
        size = _em(line, setting, scale)
        baseline += round(setting.leading * (0.3 * above + 0.7 * size)) if above else 0
        above = size
        shift = (widest - width) * slack
        pieces += [
            replace(piece, x=piece.x + shift, y=baseline, word=piece.word + first_word)
            for piece in row
        ]
        first_word += len(line.words)
    return pieces


def _set_line(line: Line, size: int, setting: Setting) -> tuple[list[_Piece], float]:
    face = load_font(line.font, size, any(map(needs_shaping, line.words)))
    pieces, x = [], 0.0
    for number, word in enumerate(line.words):
        for part in word if setting.tracking else [word]:
            pieces.append(_Piece(part, line.font, size, x, 0, number))
            x += face.getlength(part) + setting.tracking * size
        x += (setting.word_space - setting.tracking) * size
    return pieces, x - setting.word_space * size


def _vertical(lines: Sequence[Line], setting: Setting, scale: float) -> list[_Piece]:
    pieces, number, x = [], 0, 0.0
    for line in lines:
        size = _em(line, setting, scale)
        face, y = load_font(line.font, size), 0.0
        x -= 1.3 * size
        for word in line.words:
            for letter in word:
                indent = (size - face.getlength(letter)) / 2
                pieces.append(_Piece(letter, line.font, size, x + indent, round(y), number))
                y += 1.08 * size
            y += setting.word_space * size
            number += 1
    return pieces
