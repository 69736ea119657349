"""Composition: which texts a scene gets, how large, how turned, and where they stand."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from synthesis.photo.backgrounds import Background
from synthesis.sampling import between, coin, log_between, pick, pick_weighted
from synthesis.scene.distractors import draw_decoy
from synthesis.scene.geometry import Bend, Warp, along_circle
from synthesis.scene.pages import draw_ink, draw_page_text, draw_paper, through_paper
from synthesis.scene.scene import Region, Scene, SceneWord, clipped, grown, region_of, slices
from synthesis.scene.signs import draw_panel
from synthesis.text.corpus import SCRIPTS, draw_number, draw_words
from synthesis.text.fonts import Face, FontBook, covers
from synthesis.text.lettering import Style, draw_colour, draw_style, faint_colour
from synthesis.text.typesetting import LETTER_HEIGHT, Arrangement, Block, Line, Setting

LEAST_HEIGHT, GREATEST_HEIGHT = 8, 200  # pixels of letters; the greatest in pictures of 512 pixels
_WIDEST = 0.94  # of the picture
_PLACES_TRIED, _WORDS_TRIED = 10, 8
_LONGEST_ARC, _WHOLE_RING = 4.2, 5.6  # radians: of the words at its top; of all words on a ring
_VERTICAL_SCRIPTS = ("chinese", "japanese", "korean")
_TRACKED_SCRIPTS = ("latin", "cyrillic", "greek")


@dataclass(frozen=True)
class Habits:
    """What a task wants of its scenes.

    Args:
        upright: only small turns and no bends or rings, so that axis-aligned boxes of words hardly
            overlap.
        illegible: share of bare texts that are painted too faintly to read.
        empty: share of scenes without text.
        crowd: most bare texts in a scene.
        small: share of bare texts that are rather small; the others are rather large.
        least_height: of letters, pixels.
        pages: share of scenes that are a printed page instead.
        decoys: share of the other scenes that also get strokes which are no writing.
    """

    upright: bool = False
    illegible: float = 0.0
    empty: float = 0.06
    crowd: int = 4
    small: float = 0.66
    least_height: float = LEAST_HEIGHT
    pages: float = 0.0
    decoys: float = 0.0


@dataclass(frozen=True)
class Draft:
    """A text that is set and turned; `warp` has its centre where the text is to stand."""

    block: Block
    warp: Warp
    script: str
    height: float


class Composer:
    """Fills one scene with text.

    Args:
        rng: all draws come from it.
        background: of the scene.
        fonts: to write with.
        habits: of the task.
    """

    def __init__(
        self, rng: np.random.Generator, background: Background, fonts: FontBook, habits: Habits
    ) -> None:
        self.rng = rng
        self.fonts = fonts
        self.habits = habits
        self.scene = Scene.on(background)

    def compose(self) -> Scene:
        """Put up signs and bare texts, or (at the habit's share) signs without a letter, or print a
        page.
        """
        if self.habits.pages and coin(self.rng, self.habits.pages):
            return self._print_page()
        if self.habits.decoys and coin(self.rng, self.habits.decoys):
            for _ in range(int(self.rng.integers(1, 6))):
                self._add_decoy()
        signs = [
            self._put_up_sign() for _ in range(pick_weighted(self.rng, {0: 0.4, 1: 0.42, 2: 0.18}))
        ]
        signs = [sign for sign in signs if sign]
        if not self.habits.upright and coin(self.rng, 0.12):
            signs += self._put_up_ring()
        if coin(self.rng, self.habits.empty):
            return self.scene
        for sign in signs:
            self.write(sign)
        least = 0 if signs else 1
        for _ in range(int(self.rng.integers(least, self.habits.crowd + 1))):
            self.add_bare_text()
        return self.scene

    def add_bare_text(self) -> list[SceneWord]:
        """A text painted on whatever is there; no word if there is no room."""
        greatest = GREATEST_HEIGHT * self.scene.size / 512
        heights = [log_between(self.rng, self.habits.least_height, greatest) for _ in range(2)]
        height = min(heights) if coin(self.rng, self.habits.small) else max(heights)
        draft = self.draft(self._draw_lines(height), height)
        placed = self.place(draft, margin=self._reach(height)) if draft else None
        return self.write(placed, faint=coin(self.rng, self.habits.illegible)) if placed else []

    def write(
        self, draft: Draft, faint: bool = False, style: Style | None = None
    ) -> list[SceneWord]:
        """Paint a placed text in a legible colour, or in one that is too `faint` to read."""
        left, top, right, bottom = clipped(region_of(draft.warp), self.scene.size)
        surface = self.scene.clean[top:bottom, left:right]
        if style is None and faint:
            colour = faint_colour(self.rng, surface)
            style = draw_style(self.rng, colour, draft.height).plain()
        elif style is None:
            style = draw_style(self.rng, draw_colour(self.rng, surface, contrast=65), draft.height)
        return self.scene.add_text(draft.block, draft.warp, style, draft.script)

    def place(self, draft: Draft, margin: int = 3) -> Draft | None:
        """The draft at a free, rather calm place, which is then taken; None without one."""
        warp = self._placed(draft.warp, margin)
        return replace(draft, warp=warp) if warp else None

    def _placed(self, warp: Warp, margin: int) -> Warp | None:
        left, top, right, bottom = grown(region_of(warp), margin)
        width, height, size = right - left, bottom - top, self.scene.size
        if width > size or height > size:
            return None
        corners = self.rng.integers((size - width + 1, size - height + 1), size=(_PLACES_TRIED, 2))
        regions = [(int(x), int(y), int(x) + width, int(y) + height) for x, y in corners]
        regions = [region for region in regions if self.scene.is_free(region)]
        if not regions:
            return None
        region = min(regions, key=self._unrest) if coin(self.rng, 0.85) else regions[0]
        self.scene.occupy(region)
        shift = np.array(region[:2]) - (left, top)
        return warp.moved_to(tuple(warp.center + shift))

    def draft(
        self, lines: tuple[str, list[Line]] | None, height: float, pad: float = 0.0
    ) -> Draft | None:
        """Set and turn lines with letters of `height` pixels, smaller if they would not fit.

        `pad` is an empty margin in em. None if there are no lines or no room.
        """
        if lines is None:
            return None
        script, rows = lines
        setting = self._draw_setting(script, rows, height / LETTER_HEIGHT)
        turn = self._draw_turn(), self._draw_tilt(), self._draw_bend()
        room = (_WIDEST * self.scene.size,) * 2
        return self._fit(script, rows, setting, room, turn, pad)

    def _fit(
        self,
        script: str,
        rows: list[Line],
        setting: Setting,
        room: tuple[float, float],
        turn: tuple[float, tuple[float, float], Bend],
        pad: float = 0.0,
        least_height: float | None = None,
    ) -> Draft | None:
        """Lines in `room` (width, height), smaller if need be; `turn`: angle, tilt, bend.

        None if letters would be lower than `least_height`, by default that of the habits.
        """
        least_height = self.habits.least_height if least_height is None else least_height
        angle, tilt, bends = turn
        for _ in range(3):
            text = Arrangement(rows, setting)
            margin, bend = _bend_margin(text.canvas, bends, round(pad * setting.size * text.scale))
            canvas = (text.canvas[0] + 2 * margin, text.canvas[1] + 2 * margin)
            warp = Warp(canvas, bend, text.scale, angle, tilt)
            left, top, right, bottom = warp.bounds()
            excess = max((right - left) / room[0], (bottom - top) / room[1])
            if excess <= 1:
                block = text.draw().padded(margin)
                return Draft(block, warp, script, setting.size * LETTER_HEIGHT)
            setting = replace(setting, size=0.97 * setting.size / excess)
            if setting.size * LETTER_HEIGHT < least_height:
                return None
        return None

    def _print_page(self) -> Scene:
        """One or two columns of body text on paper."""
        size = self.scene.size
        paper = draw_paper(self.rng, self.scene.clean)
        turn = float(np.clip(self.rng.normal(0, 0.03), -0.09, 0.09))
        tilt = (between(self.rng, -0.08, 0.08), between(self.rng, -0.08, 0.08))
        if coin(self.rng, 0.4):
            behind = self._page_draft((0.95 * size, 0.95 * size), turn, (0.0, 0.0))
            if behind:
                warp = behind.warp.moved_to((size / 2, size / 2))
                coverage = warp.render(behind.block.coverage, (0, 0, size, size))
                paper = through_paper(self.rng, paper, coverage)
        self.scene = Scene.on(Background(paper, self.scene.background, 0.0))
        columns = 2 if coin(self.rng, 0.2) else 1
        width, height = between(self.rng, 0.7, 0.97) / columns, between(self.rng, 0.5, 0.97)
        style = draw_ink(self.rng)
        for column in range(columns):
            room = (width - (0.02 if columns > 1 else 0)) * size, height * size
            draft = self._page_draft(room, turn, tilt)
            if draft:
                across = 0.5 + (column - (columns - 1) / 2) * width
                self._print(draft, across * size, style)
        if not self.scene.words:
            self._print(self._sparse_page_draft(turn, tilt), size / 2, style)
        return self.scene

    def _print(self, draft: Draft, across: float, style: Style) -> None:
        """Write a column whose middle is `across` pixels from the left edge of the page."""
        draft = replace(draft, warp=draft.warp.moved_to((across, self.scene.size / 2)))
        self.scene.occupy(clipped(region_of(draft.warp), self.scene.size))
        self.write(draft, style=style)

    def _sparse_page_draft(self, turn: float, tilt: tuple[float, float]) -> Draft:
        """Shorter and shorter text, for fonts too wide for full columns; at the worst one word."""
        size = self.scene.size
        for share in (0.8, 0.6, 0.4, 0.2):
            draft = self._page_draft((0.9 * size, 0.9 * size), turn, tilt, share)
            if draft:
                return draft
        script = self.fonts.draw_script(self.rng)
        rows = [Line((SCRIPTS[script].probes,), self.fonts.draw_face(self.rng, script).path)]
        setting = Setting(self.habits.least_height / LETTER_HEIGHT)
        room, view = (0.9 * size, 0.9 * size), (turn, tilt, Bend())
        draft = self._fit(script, rows, setting, room, view, least_height=0)
        assert draft, "letters of any height fit, and every font of a script has its probes"
        return draft

    def _page_draft(
        self,
        room: tuple[float, float],
        turn: float,
        tilt: tuple[float, float],
        share: float = 1.0,
    ) -> Draft | None:
        """Body text in `room` (width, height), drawn for `share` of its width and height."""
        least, width, height = self.habits.least_height, share * room[0], share * room[1]
        text = draw_page_text(self.rng, self.fonts, self.scene.size, least, width, height)
        if text is None:
            return None
        return self._fit(text.script, text.lines, text.setting, room, (turn, tilt, Bend()))

    def _add_decoy(self) -> None:
        """Strokes that are no writing, on the bare scene."""
        coverage = draw_decoy(self.rng, self.scene.size)
        x, y, width, height = cv2.boundingRect(coverage)
        if width and height:
            surface = self.scene.clean[y : y + height, x : x + width]
            colour = draw_colour(self.rng, surface, contrast=between(self.rng, 10, 65))
            self.scene.add_decoy(coverage, draw_style(self.rng, colour, min(width, height)))

    def draw_words(self, script: str, face: Face, count: int) -> tuple[str, ...] | None:
        """Words whose every character the face has; None if it has none after some tries."""
        for _ in range(_WORDS_TRIED):
            words = draw_words(self.rng, script, count)
            if all(covers(face.path, word) for word in words):
                return tuple(words)
        number = draw_number(self.rng)
        return (number,) if covers(face.path, number) else None

    def _draw_lines(self, height: float) -> tuple[str, list[Line]] | None:
        script = self.fonts.draw_script(self.rng)
        face = self.fonts.draw_face(self.rng, script)
        relative = height * 512 / self.scene.size
        most_lines, most_words = (4, 4) if relative < 18 else (3, 3) if relative < 45 else (1, 2)
        rows = [
            self.draw_words(script, face, int(self.rng.integers(1, most_words + 1)))
            for _ in range(int(self.rng.integers(1, most_lines + 1)))
        ]
        lines = [Line(words, face.path) for words in rows if words]
        return (script, lines) if lines else None

    def _put_up_sign(self) -> Draft | None:
        height = log_between(
            self.rng, max(12, self.habits.least_height), 110 * self.scene.size / 512
        )
        draft = self.draft(self._draw_sign_lines(height), height, pad=between(self.rng, 0.35, 1.0))
        placed = self.place(draft, margin=8) if draft else None
        if placed:
            self._add_panel(placed.warp, bent=placed.warp.bend.kind == "arc")
        return placed

    def _put_up_ring(self) -> list[Draft]:
        """A round sign with words along its edge, at times also at its bottom or in its middle."""
        size = self.scene.size
        height = log_between(self.rng, max(14, self.habits.least_height), 80 * size / 512)
        radius = min(height * between(self.rng, 2.0, 5.5), 0.45 * size - 1.5 * height)
        angle = self._draw_turn()
        script = self.fonts.draw_script(self.rng)
        face = self.fonts.draw_face(self.rng, script)
        drafts = self._draw_ring_texts(script, face, height, radius, angle)
        side = round(2 * (radius + between(self.rng, 0.9, 1.5) * height))
        plate = self._placed(Warp((side, side), Bend(), 1.0, angle), 8) if drafts else None
        if plate is None:
            return []
        self._add_panel(plate, bent=True)
        within = 2 * (radius - between(self.rng, 0.7, 1.0) * height)
        if within > 12 and coin(self.rng, 0.3):
            disk = Warp((round(within),) * 2, Bend(), 1.0, angle)
            self._add_panel(disk.moved_to(tuple(plate.center)), bent=True)
        if within > 12 and coin(self.rng, 0.4):
            drafts += self._draw_middle(script, face, height, 0.7 * within, angle)
        moved = [draft.warp.moved_to(tuple(draft.warp.center + plate.center)) for draft in drafts]
        return [replace(draft, warp=warp) for draft, warp in zip(drafts, moved, strict=True)]

    def _draw_ring_texts(
        self, script: str, face: Face, height: float, radius: float, angle: float
    ) -> list[Draft]:
        """Texts along a circle around (0, 0); none if the first is too long for it."""
        drafts, room = [], _LONGEST_ARC
        for below in (False, True) if coin(self.rng, 0.6) else (False,):
            words = self.draw_words(script, face, int(self.rng.integers(1, 4)))
            if words is None:
                break
            rows = [Line(words, face.path)]
            setting = self._draw_setting(script, rows, height / LETTER_HEIGHT)
            text = Arrangement(rows, replace(setting, vertical=False))
            warp = along_circle(text.canvas, text.scale, angle, radius, below)
            if abs(warp.bend.amount) > room:
                break
            drafts.append(Draft(text.draw(), warp, script, height))
            room = _WHOLE_RING - abs(warp.bend.amount)
        return drafts

    def _draw_middle(
        self, script: str, face: Face, height: float, side: float, angle: float
    ) -> list[Draft]:
        words = self.draw_words(script, face, 1)
        if words is None:
            return []
        rows = [Line(words, face.path)]
        setting = self._draw_setting(script, rows, height * between(self.rng, 0.6, 2.0))
        draft = self._fit(script, rows, setting, (side, side), (angle, (0.0, 0.0), Bend()))
        return [draft] if draft else []

    def _add_panel(self, warp: Warp, bent: bool) -> None:
        surface = self.scene.clean[slices(clipped(region_of(warp), self.scene.size))]
        self.scene.add_panel(self.rng, draw_panel(self.rng, surface, bent), warp)

    def _draw_sign_lines(self, height: float) -> tuple[str, list[Line]] | None:
        script = self.fonts.draw_script(self.rng)
        face = self.fonts.draw_face(self.rng, script)
        title = self.draw_words(script, face, int(self.rng.integers(1, 4)))
        if title is None:
            return None
        lines = [Line(title, face.path)]
        smallest = self.habits.least_height / height
        for _ in range(int(self.rng.integers(0, 4))):
            size = max(smallest, between(self.rng, 0.3, 0.75))
            line = self._draw_small_line(script, face, size)
            lines += [line] if line and size < 1 else []
        return script, lines

    def _draw_small_line(self, script: str, face: Face, size: float) -> Line | None:
        # Signs in another script often repeat themselves in Latin letters.
        if "latin" in self.fonts.scripts and script != "latin" and coin(self.rng, 0.5):
            script = "latin"
            face = face if script in face.scripts else self.fonts.draw_face(self.rng, script)
        elif coin(self.rng, 0.25):
            face = self.fonts.draw_face(self.rng, script)
        words = self.draw_words(script, face, int(self.rng.integers(1, 5)))
        return Line(words, face.path, size) if words else None

    def _draw_setting(self, script: str, lines: list[Line], size: float) -> Setting:
        square = script in _VERTICAL_SCRIPTS and not any(
            word.isascii() for line in lines for word in line.words
        )
        tracked = script in _TRACKED_SCRIPTS and coin(self.rng, 0.25)
        tracking = log_between(self.rng, 0.03, 0.5) if tracked else 0.0
        return Setting(
            size,
            align=pick(self.rng, ("left", "center", "center", "right")),
            leading=between(self.rng, 1.15, 1.6),
            tracking=tracking,
            word_space=between(self.rng, 0.28, 0.45) + tracking,
            vertical=square and coin(self.rng, 0.25),
        )

    def _draw_turn(self) -> float:
        if self.habits.upright:
            return float(np.clip(self.rng.normal(0, 0.03), -0.09, 0.09))
        if coin(self.rng, 0.72):
            return float(self.rng.normal(0, 0.05))
        return (
            between(self.rng, -0.5, 0.5)
            if coin(self.rng, 0.8)
            else between(self.rng, -np.pi, np.pi)
        )

    def _draw_tilt(self) -> tuple[float, float]:
        most = 0.12 if self.habits.upright else 0.45
        return between(self.rng, -most, most), between(self.rng, -most, most)

    def _draw_bend(self) -> Bend:
        kind = (
            "none"
            if self.habits.upright
            else pick_weighted(self.rng, {"none": 0.83, "arc": 0.13, "wave": 0.04})
        )
        if kind == "arc":
            return Bend(kind, between(self.rng, 0.5, 2.6) * (1 if coin(self.rng, 0.75) else -1))
        return (
            Bend(kind, between(self.rng, 0.06, 0.2), between(self.rng, 0, 2 * np.pi))
            if kind == "wave"
            else Bend()
        )

    def _reach(self, height: float) -> int:
        # Effects extend by up to a third of the letters' height; see draw_style.
        return 3 + round(0.2 * height)

    def _unrest(self, region: Region) -> float:
        # How much light and dark meet there: text stands on one surface, not across an edge.
        left, top, right, bottom = region
        sample = np.ascontiguousarray(self.scene.clean[top:bottom:4, left:right:4])
        return float(cv2.meanStdDev(sample)[1].sum())


def _bend_margin(canvas: tuple[int, int], bend: Bend, pad: int) -> tuple[int, Bend]:
    """Margin of a canvas (height, width) for a bend and `pad`, and the bend as it then is."""
    height, width = canvas
    if bend.kind == "arc" and width > 2.5 * height:
        # The inner edge of a ring may not shrink to a point: the radius stays above 0.9 heights.
        most = width / (0.9 * height)
        amount = float(np.clip(bend.amount, -most, most))
        rise = round(
            width * abs(np.tan(amount / 8)) * 1.1
        )  # how far the ends leave the middle's line
        margin = rise + pad if pad else 2
        return margin, replace(bend, amount=amount * (width + 2 * margin) / width)
    if bend.kind == "wave":
        return max(pad, round(2 * bend.amount * height)), bend
    return pad, Bend()
