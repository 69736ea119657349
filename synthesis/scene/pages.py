"""Pages: aged or clean paper, and the body text that a printed document fills it with."""

from dataclasses import dataclass

import cv2
import numpy as np

from synthesis.sampling import between, coin, log_between, pick
from synthesis.text.corpus import draw_words
from synthesis.text.fonts import Face, FontBook, covers
from synthesis.text.lettering import Colour, Style
from synthesis.text.typesetting import LETTER_HEIGHT, Line, Setting

LEAST_LETTERS, GREATEST_LETTERS = 9, 48  # pixels of letters; the greatest in pictures of 512 pixels
_LETTER_WIDTH = 0.5  # of the em, on average in Latin type
_FULL_WIDTH = ("chinese", "japanese", "korean")
_MARKS = (",", ",", ".", ".", ";", ":", "!", "?")


@dataclass(frozen=True)
class PageText:
    """The text of a page: its lines, how they are set, and whether it shows through from behind."""

    script: str
    lines: list[Line]
    setting: Setting


def draw_paper(rng: np.random.Generator, photograph: np.ndarray) -> np.ndarray:
    """Paper of the size of a photograph, uint8 (S, S, 3), which lends it the shapes of stains."""
    size = len(photograph)
    hue, saturation = between(rng, 20, 55), between(rng, 0.0, 0.35) * between(rng, 0.2, 1.0)
    value = between(rng, 0.72, 1.0)
    colour = cv2.cvtColor(np.float32([[[hue, saturation, value]]]), cv2.COLOR_HSV2RGB)[0, 0] * 255
    paper = np.broadcast_to(colour, photograph.shape).astype(np.float32)
    if coin(rng, 0.75):
        grey = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY).astype(np.float32)
        cloud = cv2.GaussianBlur(grey, (0, 0), log_between(rng, size / 120, size / 12))
        cloud = np.clip((cloud - cloud.mean()) / (cloud.std() + 1e-3), -2.5, 2.5)
        # Stains take more blue than red: they are brown.
        tint = np.float32([between(rng, 0.4, 1.0), 1.0, between(rng, 1.0, 1.9)])
        paper = paper + log_between(rng, 2, 22) * cloud[..., None] * tint
    grain = rng.standard_normal((size // 2 + 1, size // 2 + 1), dtype=np.float32)
    grain = cv2.resize(grain, (size, size), interpolation=cv2.INTER_CUBIC)
    paper = paper + between(rng, 0.3, 4.0) * grain[..., None]
    return np.clip(paper + 0.5, 0, 255).astype(np.uint8)


def draw_ink(rng: np.random.Generator) -> Style:
    """Printer's ink: dark, now and then coloured, sometimes worn."""
    level = between(rng, 8, 80)
    colour = tuple(level * between(rng, 0.7, 1.3) for _ in range(3))
    if coin(rng, 0.12):
        colour = pick(rng, ((150.0, 30.0, 25.0), (25.0, 45.0, 130.0), (20.0, 80.0, 60.0)))
    return Style(
        colour,
        colour,
        opacity=between(rng, 0.75, 1.0),
        shading=between(rng, 0.3, 1.0),
        texture=between(rng, 0.0, 1.0),
        wear=between(rng, 0.1, 0.5) if coin(rng, 0.3) else 0.0,
    )


def through_paper(rng: np.random.Generator, paper: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """Paper, uint8 (S, S, 3), with the print of its other side, coverage uint8 (S, S), mirrored."""
    behind = cv2.flip(coverage, 1).astype(np.float32) / 255
    behind = cv2.GaussianBlur(behind, (0, 0), log_between(rng, 0.7, 3.0))
    keep = 1 - between(rng, 0.06, 0.3) * behind[..., None]
    ink: Colour = tuple(between(rng, 40, 110) for _ in range(3))
    mixed = paper * keep + np.float32(ink) * (1 - keep)
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)


def draw_page_text(
    rng: np.random.Generator, fonts: FontBook, size: int, least: float, width: float, height: float
) -> PageText | None:
    """Text that fills `width` x `height` pixels of a picture of `size`; None if no font has words.

    `least`: height of the smallest letters in pixels.
    """
    script = fonts.draw_script(rng)
    face = _book_face(rng, fonts, script)
    letters = log_between(rng, max(least, LEAST_LETTERS), GREATEST_LETTERS * size / 512)
    em, leading = letters / LETTER_HEIGHT, between(rng, 1.15, 1.7)
    setting = Setting(
        em,
        align=pick(rng, ("left", "left", "left", "center")),
        leading=leading,
        word_space=between(rng, 0.22, 0.45),
        vertical=script in _FULL_WIDTH and coin(rng, 0.3),
    )
    across, down = (height, width) if setting.vertical else (width, height)
    letter_width = 1.0 if script in _FULL_WIDTH else _LETTER_WIDTH
    signs, count = across / (letter_width * em), max(1, int(down / (leading * em)))
    short = lambda: between(rng, 0.2, 0.9) if coin(rng, 0.2) else 1.0  # noqa: E731 - last lines
    lines = [_body_line(rng, script, face, signs * short()) for _ in range(count)]
    rows = [Line(words, face.path) for words in lines if words]
    if rows and count > 3 and not setting.vertical and coin(rng, 0.3):
        title = rows[0]
        rows[0] = Line(title.words[: max(1, len(title.words) // 2)], face.path, 1.6)
    return PageText(script, rows, setting) if rows else None


def _book_face(rng: np.random.Generator, fonts: FontBook, script: str) -> Face:
    """A face, rather one with serifs: most books are set in one."""
    faces = [fonts.draw_face(rng, script) for _ in range(5)]
    serif = [face for face in faces if "serif" in face.family.lower()]
    return serif[0] if serif and coin(rng, 0.7) else faces[0]


def _body_line(
    rng: np.random.Generator, script: str, face: Face, signs: float
) -> tuple[str, ...] | None:
    """Words of about `signs` letters together that the face can write; None without any."""
    words: list[str] = []
    room, running = signs, coin(rng, 0.85)  # the others are headings, in whatever case
    for _ in range(3 + int(signs)):
        drawn = "".join(draw_words(rng, script, 1))
        if running:
            drawn = drawn.capitalize() if coin(rng, 0.12) else drawn.lower()
        mark = pick(rng, _MARKS) if coin(rng, 0.15) else ""
        word = drawn + mark if covers(face.path, mark) else drawn
        if not covers(face.path, word):
            continue
        room -= len(word) + 1
        if room < 0 and words:
            break
        words.append(word)
    return tuple(words) or None
