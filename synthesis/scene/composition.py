"""Composition: a background becomes a scene with signs, bare texts and distractors, or a page."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator

from synthesis.photo.backgrounds import Background
from synthesis.sampling import coin, log_uniform, pick_weighted
from synthesis.scene.distractors import draw_distractor
from synthesis.scene.fitting import WarpedText, draw_view, fit_text
from synthesis.scene.geometry import UNBENT, Warp
from synthesis.scene.pages import print_page
from synthesis.scene.regions import Region
from synthesis.scene.rings import draw_ring
from synthesis.scene.scene import Scene, SceneWord
from synthesis.scene.signs import draw_sign
from synthesis.scene.wording import (
    Wording,
    draw_bare_text,
    draw_huge_text,
    draw_setting,
    draw_sign_text,
)
from synthesis.text.fonts import FontBook
from synthesis.text.lettering import (
    Style,
    draw_colour,
    draw_engraving,
    draw_neon,
    draw_style,
    faint_colour,
)
from synthesis.text.typesetting import LETTER_HEIGHT, stencilled

_MAX_HEIGHT, _MAX_SIGN_HEIGHT = 240, 110  # pixels of letters in pictures of 512 pixels
_WIDEST = 0.94  # of the picture
_HUGE = (0.3, 0.6)  # heights of the largest letters, of the picture
_PLACES_TRIED = 10
# Grey levels between paint and surface: from nearly that of the faintest text to that of the
# strongest, so that contrast does not give text away.
_FAINTEST_DISTRACTOR = 10.0
# Share of texts at the calmest place that was tried: more would make calm ground a sign of text.
_CALM = 0.5
_ENGRAVED = 30.0  # minimum contrast in grey levels from which on no letters are engraved


@dataclass(frozen=True)
class SceneOptions:
    """A task's demands on its scenes.

    Args:
        upright: only small turns and no bends or rings, so that axis-aligned boxes of words hardly
            overlap.
        illegible: share of bare texts that are too faint to read.
        text_free: whether the scene shows everything but text.
        max_bare_texts: per scene.
        small: share of bare texts that are small; the others are large.
        min_height: minimum height of letters, pixels.
        min_contrast: minimum contrast of legible text, grey levels.
        pages: share of scenes that are a printed page instead.
        distractors: share of the other scenes that also show strokes that are no writing.
    """

    upright: bool = False
    illegible: float = 0.0
    text_free: bool = False
    max_bare_texts: int = 4
    small: float = 0.66
    min_height: float = 8
    min_contrast: float = 5.0
    pages: float = 0.0
    distractors: float = 0.0


class Composer:
    """Fills one scene with text.

    Args:
        rng: source of all draws.
        background: of the scene.
        fonts: for its text.
        options: of the task.
    """

    def __init__(
        self, rng: Generator, background: Background, fonts: FontBook, options: SceneOptions
    ) -> None:
        self.rng = rng
        self.fonts = fonts
        self.options = options
        self.background = background
        self.scene = Scene(background)

    def compose(self) -> Scene:
        """Add distractors, signs and bare texts, or print a page; signs stay bare without text."""
        rng, options = self.rng, self.options
        if not options.text_free and options.pages and coin(rng, options.pages):
            self.scene = print_page(rng, self.fonts, self.scene, options.min_height)
            return self.scene
        if options.distractors and coin(rng, options.distractors):
            for _ in range(rng.integers(1, 6)):
                self.add_distractor()
        huge = [self._place_huge()] if coin(rng, 0.15) else []
        signs = [self._add_sign() for _ in range(pick_weighted(rng, {0: 0.4, 1: 0.42, 2: 0.18}))]
        texts = [text for text in (*huge, *signs) if text]
        if not options.upright and coin(rng, 0.12):
            texts += self._add_ring()
        if options.text_free:
            return self.scene
        for text in texts:
            self.write(text)
        for _ in range(rng.integers(0 if texts else 1, options.max_bare_texts + 1)):
            self.add_bare_text()
        return self.scene

    def _place_huge(self) -> WarpedText | None:
        """A few letters that fill much of the picture, not yet painted: signs come first."""
        height = self.rng.uniform(*_HUGE) * self.scene.size
        text = self.fit(draw_huge_text(self.rng, self.fonts), height)
        return self.place(text, margin=2 + round(0.02 * height))

    def add_bare_text(self) -> list[SceneWord]:
        """Add a text on whatever is there; its words, none if there is no room."""
        rng, size, options = self.rng, self.scene.size, self.options
        limits = options.min_height, _MAX_HEIGHT * size / 512
        heights = [log_uniform(rng, *limits) for _ in range(2)]
        height = min(heights) if coin(rng, options.small) else max(heights)
        text = self.fit(draw_bare_text(rng, self.fonts, height * 512 / size), height)
        # Effects extend by up to a third of the letters' height, see `draw_style`.
        placed = self.place(text, margin=3 + round(0.2 * height))
        return self.write(placed, faint=coin(rng, options.illegible)) if placed else []

    def write(
        self, text: WarpedText, faint: bool = False, style: Style | None = None
    ) -> list[SceneWord]:
        """Paint a placed text in a colour of any contrast, or in one too `faint` to read."""
        surface = self._surface(text.warp.region())
        if style is None and faint:
            colour = faint_colour(self.rng, surface)
            style = draw_style(self.rng, colour, text.height).plain()
        elif style is None:
            style = self._draw_style(surface, text.height)
            if text.height > 20 and coin(self.rng, 0.04):
                text = replace(text, block=stencilled(self.rng, text.block))
        return self.scene.add_text(text, style)

    def _draw_style(self, surface: np.ndarray, height: float) -> Style:
        """Painted, engraved or, in the dark, shining letters."""
        rng = self.rng
        if height > 14 and self.options.min_contrast < _ENGRAVED and coin(rng, 0.08):
            return draw_engraving(rng, surface, height)
        if height > 20 and surface.mean() < 100 and coin(rng, 0.15):
            return draw_neon(rng, height)
        return draw_style(rng, draw_colour(rng, surface, self.options.min_contrast), height)

    def place(self, text: WarpedText | None, margin: int) -> WarpedText | None:
        """The text at a free place, calm or not, which is then occupied; None without one."""
        warp = self._place(text.warp, margin) if text else None
        return replace(text, warp=warp) if text and warp else None

    def _place(self, warp: Warp, margin: int) -> Warp | None:
        region = warp.region().grown(margin)
        places = self.scene.free_places(self.rng, region.width, region.height, _PLACES_TRIED)
        if not places:
            return None
        place = min(places, key=self._roughness) if coin(self.rng, _CALM) else places[0]
        self.scene.occupy(place)
        return warp.moved_to(*(warp.center + np.subtract(place[:2], region[:2])))

    def fit(self, wording: Wording | None, height: float, pad: float = 0.0) -> WarpedText | None:
        """Text with letters of `height` pixels, smaller if they would not fit into the picture.

        `pad` is an empty margin in em. None if there is no wording or no room.
        """
        if wording is None:
            return None
        setting = draw_setting(self.rng, wording, height / LETTER_HEIGHT)
        view = draw_view(self.rng, self.options.upright)
        room = (_WIDEST * self.scene.size,) * 2
        return fit_text(wording, setting, view, room, self.options.min_height, pad)

    def add_distractor(self) -> None:
        """Add strokes that are no writing; before any text."""
        coverage = draw_distractor(self.rng, self.scene.size)
        x, y, width, height = cv2.boundingRect(coverage)
        if width and height:
            surface = self.scene.clean[y : y + height, x : x + width]
            colour = draw_colour(self.rng, surface, _FAINTEST_DISTRACTOR)
            style = draw_style(self.rng, colour, min(width, height))
            self.scene.add_distractor(coverage, style)

    def _add_sign(self) -> WarpedText | None:
        """Add a bare sign; returns the text that fits on it."""
        rng, min_height = self.rng, self.options.min_height
        height = log_uniform(rng, max(12, min_height), _MAX_SIGN_HEIGHT * self.scene.size / 512)
        wording = draw_sign_text(rng, self.fonts, min_height / height)
        text = self.place(self.fit(wording, height, pad=rng.uniform(0.35, 1.0)), margin=8)
        if text:
            self._paint_sign(text.warp, bent=text.warp.bend.kind == "arc")
        return text

    def _add_ring(self) -> list[WarpedText]:
        """Add a bare round sign; returns the texts along its edge and in its middle."""
        rng = self.rng
        ring = draw_ring(rng, self.fonts, self.scene.size, self.options.min_height)
        texts = ring.draw_edge(rng)
        side = round(2 * (ring.radius + rng.uniform(0.9, 1.5) * ring.height))
        flat = Warp((side, side), UNBENT, 1.0, ring.angle)
        plate = self._place(flat, margin=8) if texts else None
        if plate is None:
            return []
        self._paint_sign(plate, bent=True)
        within = 2 * (ring.radius - rng.uniform(0.7, 1.0) * ring.height)
        if within > 12 and coin(rng, 0.3):
            disk = Warp((round(within),) * 2, UNBENT, 1.0, ring.angle)
            self._paint_sign(disk.moved_to(*plate.center), bent=True)
        if within > 12 and coin(rng, 0.4):
            texts += ring.draw_middle(rng, 0.7 * within)
        return [text.moved_to(*(text.warp.center + plate.center)) for text in texts]

    def _paint_sign(self, warp: Warp, bent: bool) -> None:
        sign = draw_sign(self.rng, self._surface(warp.region()), bent)
        self.scene.add_sign(self.rng, sign, warp)

    def _surface(self, region: Region) -> np.ndarray:
        """The bare surface of a region, uint8 (h, w, 3)."""
        return self.scene.clean[region.clipped(self.scene.size).window]

    def _roughness(self, region: Region) -> float:
        """Contrast in a region: most text stands on one surface, not across an edge."""
        sample = np.ascontiguousarray(self.scene.clean[region.window][::4, ::4])
        return float(cv2.meanStdDev(sample)[1].sum())
