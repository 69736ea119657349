"""Pages: columns of body text on paper."""

from dataclasses import dataclass, replace

from numpy.random import Generator

from synthesis.photo.backgrounds import Background
from synthesis.sampling import coin, log_uniform, pick
from synthesis.scene.fitting import View, WarpedText, draw_angle, fit_text
from synthesis.scene.geometry import Bend
from synthesis.scene.paper import draw_ink, draw_paper, ruled, through_paper
from synthesis.scene.regions import Region
from synthesis.scene.scene import Scene
from synthesis.scene.wording import Wording
from synthesis.text.corpus import draw_words
from synthesis.text.fonts import Face, FontBook, covers
from synthesis.text.scripts import SCRIPTS
from synthesis.text.typesetting import LETTER_HEIGHT, Line, Setting

_MIN_LETTERS, _MAX_LETTERS = 8, 48  # pixels; the maximum in pictures of 512 pixels
_LETTER_WIDTH = 0.5  # of the em, on average in Latin type
_MARKS = (",", ",", ".", ".", ";", ":", "!", "?")
_HANDWRITTEN, _RULED = 0.3, 0.5  # shares of pages, and of those written by hand
_SHARES = (0.8, 0.6, 0.4, 0.2)  # of the room, in turn, for pages that would stay empty

Size = tuple[float, float]  # width and height in pixels


def print_page(rng: Generator, fonts: FontBook, photograph: Scene, min_height: float) -> Scene:
    """One or two columns on paper with stains in the shapes of a photograph; at least one word.

    Letters are at least `min_height` pixels tall.
    """
    size = photograph.size
    paper = draw_paper(rng, photograph.clean)
    view = View(draw_angle(rng, upright=True), (rng.uniform(-0.08, 0.08), rng.uniform(-0.08, 0.08)))
    handwritten = coin(rng, _HANDWRITTEN)
    text = BodyText(fonts, size, min_height, handwritten)
    if handwritten:
        view = replace(view, bend=Bend("wave", rng.uniform(0.001, 0.008), rng.uniform(0, 6.28)))
        paper = ruled(rng, paper) if coin(rng, _RULED) else paper
    if coin(rng, 0.4):
        behind = text.draw(rng, (0.95 * size, 0.95 * size), View(view.angle))
        if behind:
            warp = behind.warp.moved_to(size / 2, size / 2)
            coverage = warp.render(behind.block.coverage, Region(0, 0, size, size))
            paper = through_paper(rng, paper, coverage)
    page = Scene(Background(paper, photograph.background, 0.0))
    columns = 2 if coin(rng, 0.2) else 1
    width, height = rng.uniform(0.7, 0.97) / columns, rng.uniform(0.5, 0.97)
    ink = draw_ink(rng, pen=handwritten)
    room = (width - (0.02 if columns > 1 else 0)) * size, height * size
    printed = []
    for column in range(columns):
        if drawn := text.draw(rng, room, view):
            across = 0.5 + (column - (columns - 1) / 2) * width
            printed.append(drawn.moved_to(across * size, size / 2))
    for each in printed or [text.draw_sparse(rng, view).moved_to(size / 2, size / 2)]:
        page.occupy(each.region(size))
        page.add_text(each, ink)
    return page


@dataclass(frozen=True)
class BodyText:
    """Draws the text of printed columns.

    Args:
        fonts: to print with.
        size: side of the picture in pixels.
        min_height: minimum height of letters in pixels.
        handwritten: whether to write with fonts that look so, if there are any.
    """

    fonts: FontBook
    size: int
    min_height: float
    handwritten: bool = False

    def draw(self, rng: Generator, room: Size, view: View, share: float = 1.0) -> WarpedText | None:
        """Text around (0, 0), enough for a `share` of the room's sides.

        None if it does not fit into the whole room or the font covers no word.
        """
        width, height = share * room[0], share * room[1]
        script = self.fonts.draw_script(rng)
        face = self._draw_face(rng, script)
        setting = self._draw_setting(rng, script)
        across, down = (height, width) if setting.vertical else (width, height)
        letter_width = 1.0 if SCRIPTS[script].square else _LETTER_WIDTH
        letters = across / (letter_width * setting.size)
        count = max(1, int(down / (setting.leading * setting.size)))
        lines = _draw_lines(rng, script, face, letters, count)
        if lines and count > 3 and not setting.vertical and coin(rng, 0.3):
            title = lines[0].words[: max(1, len(lines[0].words) // 2)]
            lines[0] = Line(title, face.path, 1.6)
        wording = Wording(script, lines)
        return fit_text(wording, setting, view, room, self.min_height) if lines else None

    def draw_sparse(self, rng: Generator, view: View) -> WarpedText:
        """Text short enough to fit: for fonts too wide for full columns, and for lack of words."""
        room = 0.9 * self.size, 0.9 * self.size
        for share in _SHARES:
            if text := self.draw(rng, room, view, share):
                return text
        script = self.fonts.draw_script(rng)
        line = Line((SCRIPTS[script].probes,), self.fonts.draw_face(rng, script).path)
        setting = Setting(self.min_height / LETTER_HEIGHT)
        text = fit_text(Wording(script, [line]), setting, view, room, min_height=0)
        assert text, "every font covers the probes of its scripts, and some size fits"
        return text

    def _draw_face(self, rng: Generator, script: str) -> Face:
        """A face of handwriting, or preferably with serifs: most books are set in one."""
        if self.handwritten and (face := self.fonts.draw_handwritten_face(rng, script)):
            return face
        faces = [self.fonts.draw_face(rng, script) for _ in range(5)]
        serif = [face for face in faces if "serif" in face.family.lower()]
        return serif[0] if serif and coin(rng, 0.7) else faces[0]

    def _draw_setting(self, rng: Generator, script: str) -> Setting:
        smallest = 1.5 * _MIN_LETTERS if self.handwritten else _MIN_LETTERS
        min_letters = max(self.min_height, smallest)
        letters = log_uniform(rng, min_letters, _MAX_LETTERS * self.size / 512)
        leading = rng.uniform(1.15, 1.7)
        return Setting(
            letters / LETTER_HEIGHT,
            align=pick(rng, ("left", "left", "left", "center")),
            leading=leading,
            word_space=rng.uniform(0.22, 0.45),
            vertical=SCRIPTS[script].square and coin(rng, 0.3),
        )


def _draw_lines(rng: Generator, script: str, face: Face, letters: float, count: int) -> list[Line]:
    """Lines of about `letters` letters, some shorter, as at the end of a paragraph."""
    lines = []
    for _ in range(count):
        share = rng.uniform(0.2, 0.9) if coin(rng, 0.2) else 1.0
        words = _draw_line(rng, script, face, letters * share)
        if words:
            lines.append(Line(words, face.path))
    return lines


def _draw_line(rng: Generator, script: str, face: Face, letters: float) -> tuple[str, ...]:
    """Words of about `letters` letters together that the face covers, maybe none."""
    words: list[str] = []
    room, running = letters, coin(rng, 0.85)  # headings keep their case
    for _ in range(3 + int(letters)):
        word = draw_words(rng, script, 1)[0]
        if running:
            word = word.capitalize() if coin(rng, 0.12) else word.lower()
        mark = pick(rng, _MARKS) if coin(rng, 0.15) else ""
        word += mark if covers(face.path, mark) else ""
        if not covers(face.path, word):
            continue
        room -= len(word) + 1
        if room < 0 and words:
            break
        words.append(word)
    return tuple(words)
