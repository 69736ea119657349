"""Forged scans: words copied, swapped, moved, rewritten and rendered again between documents."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.random import Generator

from synthesis.forgery import patches
from synthesis.forgery.planning import FORGED_WORDS
from synthesis.forgery.rewriting import with_traces
from synthesis.forgery.tampering import Forgery, changed_box
from synthesis.sampling import coin, pick, pick_weighted
from synthesis.scene.regions import Region
from synthesis.scene.scans import Scan, ScanWord
from synthesis.text.corpus import similar_word
from synthesis.text.fonts import FontBook, covers
from synthesis.text.typesetting import Line, Setting, TextLayout

_MOST_STRETCH = 1.4  # of a word in the place of another
_PLACES_TRIED, _FONTS_COMPARED = 60, 6


@dataclass
class ScanForger:
    """Forges words of a scan.

    Args:
        rng: source of all draws.
        scan: its pixels change.
        foreign: another scan to copy words from.
        fonts: to rewrite words with.
        min_height: pixels; smaller words stay genuine.
        touched: words that are no longer genuine.
        placed: regions that words were moved to.
    """

    rng: Generator
    scan: Scan
    foreign: Scan
    fonts: FontBook
    min_height: float
    touched: set[ScanWord] = field(default_factory=set)
    placed: list[Region] = field(default_factory=list)

    def forge(self) -> list[Forgery]:
        """Forge some of the words, at least one if any is large enough and on its own."""
        words = [word for word in self.scan.words if self._can_forge(word)]
        count = math.ceil(self.rng.uniform(*FORGED_WORDS) * len(words))
        forgeries: list[Forgery] = []
        for index in self.rng.permutation(len(words)):
            if len(forgeries) >= count:
                break
            if words[index] not in self.touched:
                forgeries += self._forge(words[index])
        return forgeries

    def _forge(self, word: ScanWord) -> list[Forgery]:
        """The word forged by one kind, or rendered again if there is no room for it."""
        before, kind = self.scan.pixels.copy(), pick_weighted(self.rng, _WEIGHTS)
        changes = _KINDS[kind](self, word)
        if changes is None:
            kind, changes = "retexture", self._retexture(word)
        forgeries = []
        for text, region, replaced in changes:
            only = before.copy()
            only[region.window] = self.scan.pixels[region.window]
            self.touched.add(replaced)
            if box := changed_box(before, only):
                forgeries.append(Forgery(kind, text, box, replaced))
        return forgeries

    def _can_forge(self, word: ScanWord) -> bool:
        """Whether a word is large enough, inside the picture, and overlaps no other."""
        inside = min(word.region) >= 0 and max(word.region) <= len(self.scan.pixels)
        others = (other for other in self.scan.words if other is not word)
        alone = not any(_overlap(word.region.grown(-2), other.region) for other in others)
        return inside and word.height >= self.min_height and alone

    def _around(self, word: ScanWord) -> Region:
        return word.region.grown(1).clipped(len(self.scan.pixels))

    def _retexture(self, word: ScanWord) -> "Changes":
        region = word.region.grown(2 + round(0.25 * word.height)).clipped(len(self.scan.pixels))
        patches.retexture(self.rng, self.scan.pixels, word.region, word.height)
        return [(word.text, region, word)]

    def _copy(self, word: ScanWord) -> "Changes | None":
        scan = self.foreign if coin(self.rng, 0.5) else self.scan
        side = len(scan.pixels)
        inside = [
            other
            for other in scan.words
            if min(other.region) >= 0 and max(other.region) <= side and other.text != word.text
        ]
        model = self._similar_shape(word, inside)
        if model is None:
            return None
        patch = scan.pixels[model.region.grown(1).clipped(side).window].copy()
        self._paste(patch, self._around(word))
        return [(model.text, self._around(word), word)]

    def _swap(self, word: ScanWord) -> "Changes | None":
        others = [
            other
            for other in self.scan.words
            if other is not word and other not in self.touched and self._can_forge(other)
        ]
        other = self._similar_shape(word, others)
        if other is None:
            return None
        regions = self._around(word), self._around(other)
        first, second = (self.scan.pixels[region.window].copy() for region in regions)
        self._paste(second, regions[0])
        self._paste(first, regions[1])
        return [(other.text, regions[0], word), (word.text, regions[1], other)]

    def _move(self, word: ScanWord) -> "Changes | None":
        pixels, region = self.scan.pixels, self._around(word)
        limits = np.subtract(pixels.shape[1::-1], (region.width, region.height)) + 1
        taken = [other.region for other in self.scan.words] + self.placed
        for left, top in self.rng.integers(limits, size=(_PLACES_TRIED, 2)).tolist():
            place = Region(left, top, left + region.width, top + region.height)
            blank = float(pixels[place.window].std(axis=(0, 1)).mean())
            if blank < 14 and not any(_overlap(place, each) for each in taken):
                patch = pixels[region.window].copy()
                self._erase(region)
                self._paste(patch, place)
                self.placed.append(place)
                return [(word.text, place, word)]
        return None

    def _rewrite(self, word: ScanWord) -> "Changes | None":
        if "latin" not in self.fonts.scripts:
            return None
        font = self._similar_font(word)
        text = similar_word(self.rng, word.text, "latin")
        if not covers(font, text):
            return None
        region, patch = self._around(word), self.scan.pixels[self._around(word).window]
        grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)
        ink = np.median(patch[grey <= np.quantile(grey, 0.08)], axis=0)
        coverage = _coverage(text, font, word.height)
        width = min(region.width, max(4, round(_aspect(coverage) * word.height)))
        letters = cv2.resize(coverage, (width, region.height), interpolation=cv2.INTER_AREA)
        self._erase(region)
        blank = self.scan.pixels[region.window].astype(np.float32)
        softness = self.rng.uniform(0.3, 0.8)
        alpha = cv2.GaussianBlur(letters.astype(np.float32) / 255, (0, 0), softness)[..., None]
        blank[:, :width] += alpha * (ink - blank[:, :width])
        written = with_traces(self.rng, np.clip(blank + 0.5, 0, 255).astype(np.uint8))
        self.scan.pixels[region.window] = written
        return [(text, region, word)]

    def _similar_font(self, word: ScanWord) -> str:
        """Path of the one of some fonts that sets the word about as wide as it is."""
        faces = [self.fonts.draw_face(self.rng, "latin") for _ in range(_FONTS_COMPARED)]
        fonts = [face.path for face in faces if covers(face.path, word.text)] or [faces[0].path]
        if len(fonts) == 1 or not word.text.strip():
            return fonts[0]
        aspect = word.region.width / word.height

        def difference(font: str) -> float:
            return abs(math.log(_aspect(_coverage(word.text, font, word.height)) / aspect))

        return min(fonts, key=difference)

    def _similar_shape(self, word: ScanWord, others: Sequence[ScanWord]) -> ScanWord | None:
        """One of the words that fit best into the place of a word; None if none fits."""
        fitting = [other for other in others if _stretch(word, other) < _MOST_STRETCH]
        fitting.sort(key=lambda other: _stretch(word, other))
        return pick(self.rng, fitting[:4]) if fitting else None

    def _paste(self, patch: np.ndarray, place: Region) -> None:
        if patch.shape[:2] != (place.height, place.width):
            method = pick(self.rng, (cv2.INTER_LINEAR, cv2.INTER_CUBIC))
            patch = cv2.resize(patch, (place.width, place.height), interpolation=method)
        seen = self.scan.pixels[place.window]
        patch = patches.recoloured(patch, seen, self.rng.uniform(0.5, 1.0))
        patches.blend(self.scan.pixels, patch, place, feather=pick(self.rng, (0, 1, 2)))

    def _erase(self, region: Region) -> None:
        around = region.grown(4).clipped(len(self.scan.pixels))
        hole = np.zeros((around.height, around.width), np.uint8)
        inner = Region(*np.subtract(region, (around.left, around.top) * 2).tolist())
        hole[inner.window] = 1
        patch = self.scan.pixels[around.window]
        self.scan.pixels[around.window] = patches.inpainted(patch, hole)


# Text, place and the word that it replaces, per forged word.
Changes = list[tuple[str, Region, ScanWord]]

_KINDS: dict[str, Callable[[ScanForger, ScanWord], Changes | None]] = {
    "copy": ScanForger._copy,
    "swap": ScanForger._swap,
    "move": ScanForger._move,
    "rewrite": ScanForger._rewrite,
    "retexture": ScanForger._retexture,
}
_WEIGHTS = {"copy": 0.25, "swap": 0.1, "move": 0.1, "rewrite": 0.25, "retexture": 0.3}


def _coverage(text: str, font: str, height: float) -> np.ndarray:
    """Coverage, uint8 (h, w), of a text; large enough to be reduced to `height` pixels."""
    return TextLayout([Line((text,), font)], Setting(2 * height)).render().coverage


def _aspect(coverage: np.ndarray) -> float:
    return coverage.shape[1] / coverage.shape[0]


def _overlap(first: Region, second: Region) -> bool:
    across = min(first.right, second.right) - max(first.left, second.left)
    return across > 0 and min(first.bottom, second.bottom) > max(first.top, second.top)


def _stretch(first: ScanWord, second: ScanWord) -> float:
    """Largest factor by which a side of one word differs from that of the other."""
    factors = (
        first.region.width / second.region.width,
        first.region.height / second.region.height,
    )
    return max(max(factor, 1 / factor) for factor in factors)
