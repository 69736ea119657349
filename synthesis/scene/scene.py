"""A scene: a background with and without its text, and the truth about every word."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from synthesis.photo.backgrounds import Background
from synthesis.photo.camera import Camera, blur, expose, through_jpeg
from synthesis.scene.geometry import Warp
from synthesis.scene.signs import Panel, paint_panel
from synthesis.text.lettering import Style, luma, paint
from synthesis.text.typesetting import Block, Word

GENUINE, TAMPERED = 1, 2  # classes of the annotation files
Region = tuple[
    int, int, int, int
]  # left, top, right, bottom in pixels, right and bottom not included

# A pixel belongs to a letter if the ink covers this share of it: a little under a half, because the
# strokes of small text are thinner than a pixel and would otherwise have holes.
GLYPH_COVERAGE = 0.4
CELL = 4  # pixels; how finely a scene remembers where something stands
_LEAST_HEIGHT = 7.0  # pixels; lower words cannot be read
_LEAST_CONTRAST = 14.0  # grey levels between ink and surface
_MOST_BLUR = 0.17  # standard deviation of the blur in word heights


@dataclass
class SceneWord:
    """A word in the scene.

    Args:
        text, script, font: what is written, in which font file (path).
        polygon: (N, 2) its outline in pixels, with the effects' reach not included.
        height: of its ink box, pixels.
        legible: whether a person could read it.
        word, block_warp, scale, style: how it was drawn, so that it can be drawn again.
        label: GENUINE or TAMPERED.
        kind: of the tampering, or of what the genuine twin imitates.
    """

    text: str
    script: str
    font: str
    polygon: np.ndarray
    height: float
    legible: bool
    word: Word
    block_warp: Warp
    scale: float
    style: Style
    label: int = GENUINE
    kind: str = ""

    def region(self) -> Region:
        """Whole pixels that the word touches; may reach beyond the picture."""
        return bounds_of(self.polygon)

    def box(self, size: int) -> tuple[int, int, int, int]:
        """Axis-aligned box, both corners included, inside a picture of size x size."""
        low = np.clip(np.floor(self.polygon.min(axis=0)), 0, size - 1).astype(int)
        high = np.clip(np.ceil(self.polygon.max(axis=0)), 0, size - 1).astype(int)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])


@dataclass
class Scene:
    """Pictures and labels of one scene, all uint8 of size x size.

    Args:
        clean: (S, S, 3) without text.
        image: (S, S, 3) with text.
        ink: (S, S) coverage of the letters.
        effects: (S, S) coverage of shadows, outlines and glows.
        taken: bool, the cells of `CELL` x `CELL` pixels where something stands already.
        words: all words.
        background: file name of the photograph.
    """

    clean: np.ndarray
    image: np.ndarray
    ink: np.ndarray
    effects: np.ndarray
    taken: np.ndarray
    background: str
    words: list[SceneWord] = field(default_factory=list)

    @classmethod
    def on(cls, background: Background) -> "Scene":
        """An empty scene on a background."""
        pixels = background.pixels
        shape = pixels.shape[:2]
        blank = [np.zeros(shape, dtype=np.uint8) for _ in range(2)]
        taken = np.zeros([-(-side // CELL) for side in shape], dtype=bool)
        return cls(pixels, pixels.copy(), *blank, taken, background.name)

    @property
    def size(self) -> int:
        """Side in pixels."""
        return self.clean.shape[0]

    def is_free(self, region: Region) -> bool:
        """Whether the region lies in the picture and nothing stands there."""
        left, top, right, bottom = region
        inside = left >= 0 and top >= 0 and right <= self.size and bottom <= self.size
        return inside and not self.taken[_cells(region)].any()

    def occupy(self, region: Region) -> None:
        """Keep the region free of further text."""
        self.taken[_cells(region)] = True

    def add_panel(self, rng: np.random.Generator, panel: Panel, warp: Warp) -> None:
        """Put up a plate, with and without text; plates come before any text."""
        region = clipped(grown(region_of(warp.unbent()), 16), self.size)
        window = slices(region)
        self.clean[window], _ = paint_panel(rng, self.clean[window], panel, warp, region)
        self.image[window] = self.clean[window]

    def add_decoy(self, coverage: np.ndarray, style: Style) -> None:
        """Paint strokes that are no text, coverage uint8 (S, S); they come before any text."""
        left, top, width, height = cv2.boundingRect(coverage)
        region = left, top, left + width, top + height
        window = slices(clipped(grown(region, style.reach()), self.size))
        surface = self.clean[window]
        self.clean[window], _ = paint(surface, surface, coverage[window], style)
        self.image[window] = self.clean[window]

    def add_text(self, block: Block, warp: Warp, style: Style, script: str) -> list[SceneWord]:
        """Paint a block of text; returns its words, which are also added to `words`."""
        region = clipped(grown(region_of(warp), style.reach()), self.size)
        window = slices(region)
        coverage = warp.render(block.coverage, region)
        surface = self.clean[window]
        self.image[window], effects = paint(self.image[window], surface, coverage, style)
        np.maximum(self.ink[window], coverage, out=self.ink[window])
        np.maximum(self.effects[window], effects, out=self.effects[window])
        words = [self._describe(word, block, warp, style, script) for word in block.words]
        self.words += words
        return words

    def _describe(
        self, word: Word, block: Block, warp: Warp, style: Style, script: str
    ) -> SceneWord:
        polygon = warp.outline(word.box)
        height = _height(polygon)
        region = clipped(bounds_of(polygon), self.size)
        surface = self.clean[slices(region)].reshape(-1, 3)
        contrast = abs(luma(style.colour) - luma(surface.mean(axis=0))) * style.opacity
        readable = contrast >= _LEAST_CONTRAST or style.outline > 0
        legible = height >= _LEAST_HEIGHT and readable
        return SceneWord(
            *(word.text, script, word.font, polygon, height, legible, word),
            *(warp, block.scale, style),
        )

    def visible(self, camera: Camera) -> np.ndarray:
        """Where text or its effects can be seen through the camera's blur, bool (S, S)."""
        covered = cv2.max(self.ink, self.effects)
        # 2 %: less is under two grey levels for most colours. Ink counts in any case, however the
        # lens spreads it.
        return (blur(covered, camera) > 5) | (self.ink >= GLYPH_COVERAGE * 255)

    def word_mask(self, words: Sequence[SceneWord], margin: int) -> np.ndarray:
        """Filled outlines of words, `margin` pixels wider all around, bool (S, S)."""
        mask = np.zeros((self.size, self.size), dtype=np.uint8)
        for word in words:
            cv2.fillPoly(mask, [np.round(word.polygon).astype(np.int32)], 1)
        if margin and words:
            mask = cv2.dilate(mask, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8))
        return mask.astype(bool)


def through_lens(
    scene: Scene, camera: Camera, changed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The scene without and with its text as the lens shows it, uint8 (S, S, 3) each.

    They are equal outside `changed`, bool (S, S): what the blur carries further is left out.
    """
    clean = blur(scene.clean, camera)
    return clean, only(changed, blur(scene.image, camera), clean)


def take(rng: np.random.Generator, picture: np.ndarray, camera: Camera) -> np.ndarray:
    """One photograph of a picture, uint8 (H, W, 3), stored once as JPEG."""
    return through_jpeg(expose(rng, [blur(picture, camera)], camera)[0], camera)


def only(where: np.ndarray, new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """Pixels of `new` where the mask (H, W) holds, of `old` elsewhere; uint8 (H, W, 3)."""
    result = old.copy()
    cv2.copyTo(new, where.astype(np.uint8), result)
    return result


def too_blurred(word: SceneWord, camera: Camera) -> bool:
    """Whether the lens or a movement makes the word unreadable."""
    spread = float(np.hypot(camera.defocus, camera.motion[0] / 3.5))
    return spread > _MOST_BLUR * word.height


def region_of(warp: Warp) -> Region:
    """Whole pixels that the warped canvas touches."""
    left, top, right, bottom = warp.bounds()
    return (
        int(np.floor(left)),
        int(np.floor(top)),
        int(np.ceil(right)) + 1,
        int(np.ceil(bottom)) + 1,
    )


def grown(region: Region, margin: int) -> Region:
    """The region, wider by `margin` pixels on every side."""
    left, top, right, bottom = region
    return left - margin, top - margin, right + margin, bottom + margin


def clipped(region: Region, size: int) -> Region:
    """The part of the region inside a picture of size x size, at least one pixel."""
    left, top = (min(max(0, side), size - 1) for side in region[:2])
    return left, top, max(left + 1, min(region[2], size)), max(top + 1, min(region[3], size))


def bounds_of(polygon: np.ndarray) -> Region:
    """Whole pixels that a polygon (N, 2) touches."""
    low, high = np.floor(polygon.min(axis=0)).astype(int), np.ceil(polygon.max(axis=0)).astype(int)
    return int(low[0]), int(low[1]), int(high[0]) + 1, int(high[1]) + 1


def _height(polygon: np.ndarray) -> float:
    half = len(polygon) // 2
    return float(np.linalg.norm(polygon[:half] - polygon[half:][::-1], axis=1).mean())


def slices(region: Region) -> tuple[slice, slice]:
    """Index of the region's pixels in an array (H, W, ...)."""
    left, top, right, bottom = region
    return slice(top, bottom), slice(left, right)


def _cells(region: Region) -> tuple[slice, slice]:
    left, top, right, bottom = region
    rows = slice(max(0, top) // CELL, -(-bottom // CELL))
    return rows, slice(max(0, left) // CELL, -(-right // CELL))
