"""A scene: a background with and without its text, and the ground truth of every word."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from synthesis.photo.backgrounds import Background
from synthesis.photo.camera import Camera, blur
from synthesis.scene.fitting import WarpedText
from synthesis.scene.geometry import Warp, polygon_mask
from synthesis.scene.regions import Region
from synthesis.scene.signs import Sign, paint_sign
from synthesis.text.lettering import Style
from synthesis.text.painting import paint
from synthesis.text.typesetting import Box, Word

# Share of a pixel that ink must cover for it to belong to a letter: a little under a half, because
# strokes of small text are thinner than a pixel and would otherwise have holes.
GLYPH_COVERAGE = 0.4
_CELL = 4  # pixels; resolution of the map of occupied places
_VISIBLE_COVERAGE = 5  # of 255: less is under two grey levels for most colours
_MIN_READABLE_HEIGHT = 7.0  # pixels
# Grey levels between ink and surface that letters of _SMALL pixels need; larger ones need fewer.
_MIN_READABLE_CONTRAST, _SMALL, _MIN_VISIBLE_CONTRAST = 14.0, 14.0, 4.0
_MIN_READABLE_RATIO = 0.5  # of the contrast to the standard deviation of the surface
_MAX_READABLE_BLUR = 0.17  # standard deviation of the blur in word heights


@dataclass
class SceneWord:
    """A word in the scene.

    Args:
        text, font, script: the string, the path of its font, its writing system.
        word, parent, style: the word on its canvas, the text that it is part of, its paint.
        polygon: (N, 2) its outline in pixels, without the reach of the effects.
        contrast: between its ink, or its engraved edges, and the surface, grey levels of the
            channel that differs most.
        legible: whether a person could read it.
        imitates: the kind of forgery that a genuine lookalike imitates.
    """

    text: str
    font: str
    script: str
    word: Word
    parent: WarpedText
    style: Style
    polygon: np.ndarray
    contrast: float
    legible: bool = True
    imitates: str = ""

    @property
    def height(self) -> float:
        """Mean height of its ink box, pixels."""
        upper, lower = np.split(self.polygon, 2)
        return float(np.linalg.norm(upper - lower[::-1], axis=1).mean())

    def region(self) -> Region:
        """Whole pixels that the word touches; may extend beyond the picture."""
        return Region.around(self.polygon)

    def box(self, size: int) -> Box:
        """Axis-aligned box, both corners included, inside a picture of size x size."""
        low = np.clip(np.floor(self.polygon.min(axis=0)), 0, size - 1).astype(int)
        high = np.clip(np.ceil(self.polygon.max(axis=0)), 0, size - 1).astype(int)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def too_blurred(self, camera: Camera) -> bool:
        """Whether the lens or a movement makes the word unreadable."""
        spread = float(np.hypot(camera.defocus, camera.motion[0] / 3.5))
        return spread > _MAX_READABLE_BLUR * self.height


def least_contrast(height: float) -> float:
    """Grey levels between ink and surface at which letters of `height` pixels can be read."""
    return max(_MIN_VISIBLE_CONTRAST, _MIN_READABLE_CONTRAST * min(1.0, _SMALL / height))


class Scene:
    """Pictures and labels of one scene, uint8 of size x size.

    Args:
        background: the photograph; the scene is empty at first and changes its pixels.
    """

    def __init__(self, background: Background) -> None:
        self.background = background.name
        self.size = size = len(background.pixels)
        self.clean = background.pixels  # (S, S, 3) without text
        self.image = background.pixels.copy()  # (S, S, 3) with text
        self.ink = np.zeros((size, size), np.uint8)  # coverage of the letters
        self.effects = np.zeros((size, size), np.uint8)  # coverage of shadows, outlines and glows
        self.words: list[SceneWord] = []
        self._occupied = np.zeros((-(-size // _CELL),) * 2, dtype=bool)  # one value per cell

    def is_free(self, region: Region) -> bool:
        """Whether the region lies in the picture and holds nothing yet."""
        inside = min(region) >= 0 and max(region) <= self.size
        return inside and not self._occupied[_cells(region)].any()

    def occupy(self, region: Region) -> None:
        """Reserve the region: no further text is placed there."""
        self._occupied[_cells(region)] = True

    def free_places(self, rng: Generator, width: int, height: int, tries: int) -> list[Region]:
        """Free regions of a size among `tries` random ones; none if it exceeds the picture."""
        if width > self.size or height > self.size:
            return []
        limits = (self.size - width + 1, self.size - height + 1)
        corners = rng.integers(limits, size=(tries, 2)).tolist()
        places = [Region(left, top, left + width, top + height) for left, top in corners]
        return [place for place in places if self.is_free(place)]

    def add_sign(self, rng: Generator, sign: Sign, warp: Warp) -> None:
        """Paint a sign, with and without text; signs come before any text."""
        region = warp.unbent().region().grown(16).clipped(self.size)
        self._paint_ground(region, paint_sign(rng, self.clean[region.window], sign, warp, region))

    def add_distractor(self, coverage: np.ndarray, style: Style) -> None:
        """Paint strokes that are no text, coverage uint8 (S, S); they come before any text."""
        left, top, width, height = cv2.boundingRect(coverage)
        region = Region(left, top, left + width, top + height)
        region = region.grown(style.reach()).clipped(self.size)
        surface = self.clean[region.window]
        self._paint_ground(region, paint(surface, surface, coverage[region.window], style)[0])

    def _paint_ground(self, region: Region, pixels: np.ndarray) -> None:
        self.clean[region.window] = pixels
        self.image[region.window] = pixels

    def add_text(self, text: WarpedText, style: Style) -> list[SceneWord]:
        """Paint a text; returns its words, which are also added to `words`."""
        window = (region := text.region(self.size, style.reach())).window
        coverage = text.warp.render(text.block.coverage, region)
        self.image[window], effects = paint(self.image[window], self.clean[window], coverage, style)
        np.maximum(self.ink[window], coverage, out=self.ink[window])
        np.maximum(self.effects[window], effects, out=self.effects[window])
        words = [self._describe(word, text, style) for word in text.block.words]
        self.words += words
        return words

    def _describe(self, word: Word, text: WarpedText, style: Style) -> SceneWord:
        polygon = text.warp.outline(word.box)
        ground = self.clean[Region.around(polygon).clipped(self.size).window].reshape(-1, 3)
        difference = np.abs(np.array(style.colour) - ground.mean(axis=0)).max()
        contrast = max(float(difference) * style.opacity, abs(style.engraving))
        names = (word.text, word.font, text.script)
        result = SceneWord(*names, word, text, style, polygon, contrast)
        least = max(
            least_contrast(result.height), _MIN_READABLE_RATIO * float(ground.std(axis=0).max())
        )
        readable = contrast >= least or style.outline > 0
        result.legible = readable and result.height >= _MIN_READABLE_HEIGHT
        return result

    def visible(self, camera: Camera) -> np.ndarray:
        """Pixels, bool (S, S), that text or its effects change visibly under the camera's blur.

        Ink counts however far the lens spreads it.
        """
        blurred = blur(cv2.max(self.ink, self.effects), camera)
        return (blurred > _VISIBLE_COVERAGE) | (self.ink >= GLYPH_COVERAGE * 255)

    def word_mask(self, words: Sequence[SceneWord], margin: int) -> np.ndarray:
        """Filled outlines of words, `margin` pixels wider on all sides, bool (S, S)."""
        polygons = [word.polygon for word in words]
        return polygon_mask(self.size, self.size, polygons, margin).astype(bool)


def through_lens(
    scene: Scene, camera: Camera, changed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The blurred scene without and with its text, uint8 (S, S, 3) each.

    They are equal outside `changed`, bool (S, S): blur beyond it is cut off.
    """
    clean = blur(scene.clean, camera)
    return clean, composite(changed, blur(scene.image, camera), clean)


def composite(mask: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Pixels of `inside` where the mask (H, W) holds, of `outside` elsewhere; uint8 (H, W, 3)."""
    result = outside.copy()
    cv2.copyTo(inside, mask.astype(np.uint8), result)
    return result


def _cells(region: Region) -> tuple[slice, slice]:
    left, top, right, bottom = region
    rows = slice(max(0, top) // _CELL, -(-bottom // _CELL))
    return rows, slice(max(0, left) // _CELL, -(-right // _CELL))
