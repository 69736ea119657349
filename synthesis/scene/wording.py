"""Wording: the lines of signs and bare texts, in words that their fonts cover."""

from dataclasses import dataclass

from numpy.random import Generator

from synthesis.sampling import coin, log_uniform, pick
from synthesis.text.corpus import draw_number, draw_words
from synthesis.text.fonts import Face, FontBook, covers
from synthesis.text.scripts import SCRIPTS
from synthesis.text.typesetting import Line, Setting

_TRIES = 8


@dataclass(frozen=True)
class Wording:
    """Lines of text in one script."""

    script: str
    lines: list[Line]


def draw_covered_words(
    rng: Generator, script: str, face: Face, count: int
) -> tuple[str, ...] | None:
    """Words whose every character the face covers; None if some tries find none."""
    for _ in range(_TRIES):
        words = draw_words(rng, script, count)
        if all(covers(face.path, word) for word in words):
            return tuple(words)
    number = draw_number(rng)
    return (number,) if covers(face.path, number) else None


def draw_bare_text(rng: Generator, fonts: FontBook, height: float) -> Wording | None:
    """A text without a sign; the smaller its letters (pixels in a picture of 512), the longer."""
    script = fonts.draw_script(rng)
    face = fonts.draw_face(rng, script)
    most_lines, most_words = (4, 4) if height < 18 else (3, 3) if height < 45 else (1, 2)
    if height < 14 and coin(rng, 0.25):  # the small print of packages and notices
        most_lines, most_words = 10, 7
    rows = [
        draw_covered_words(rng, script, face, int(rng.integers(1, most_words + 1)))
        for _ in range(rng.integers(1, most_lines + 1))
    ]
    lines = [Line(words, face.path) for words in rows if words]
    return Wording(script, lines) if lines else None


def draw_huge_text(rng: Generator, fonts: FontBook) -> Wording | None:
    """One to four letters, which can be as tall as half of a picture."""
    script = fonts.draw_script(rng)
    face = fonts.draw_face(rng, script)
    words = draw_covered_words(rng, script, face, 1)
    if words is None:
        return None
    word = words[0] if SCRIPTS[script].shaped else words[0][: rng.integers(1, 5)]
    return Wording(script, [Line((word,), face.path)])


def draw_sign_text(rng: Generator, fonts: FontBook, smallest: float) -> Wording | None:
    """A title and up to three smaller lines, at least `smallest` relative to the title."""
    script = fonts.draw_script(rng)
    face = fonts.draw_face(rng, script)
    title = draw_covered_words(rng, script, face, int(rng.integers(1, 4)))
    if title is None:
        return None
    lines = [Line(title, face.path)]
    for _ in range(rng.integers(0, 4)):
        size = max(smallest, rng.uniform(0.3, 0.75))
        line = _draw_small_line(rng, fonts, script, face, size)
        if line and size < 1:
            lines.append(line)
    return Wording(script, lines)


def _draw_small_line(
    rng: Generator, fonts: FontBook, script: str, face: Face, size: float
) -> Line | None:
    # Signs in other scripts often repeat themselves in Latin letters.
    if "latin" in fonts.scripts and script != "latin" and coin(rng, 0.5):
        script = "latin"
        face = face if script in face.scripts else fonts.draw_face(rng, script)
    elif coin(rng, 0.25):
        face = fonts.draw_face(rng, script)
    words = draw_covered_words(rng, script, face, int(rng.integers(1, 5)))
    return Line(words, face.path, size) if words else None


def draw_setting(rng: Generator, wording: Wording, size: float) -> Setting:
    """A setting for signs and bare texts at `size` pixels per em."""
    words = [word for line in wording.lines for word in line.words]
    script = SCRIPTS[wording.script]
    square = script.square and not any(map(str.isascii, words))
    tracked = script.cased and coin(rng, 0.25)
    tracking = log_uniform(rng, 0.03, 0.5) if tracked else 0.0
    return Setting(
        size,
        align=pick(rng, ("left", "center", "center", "right")),
        leading=rng.uniform(1.15, 1.6),
        tracking=tracking,
        word_space=rng.uniform(0.28, 0.45) + tracking,
        vertical=square and coin(rng, 0.25),
    )
