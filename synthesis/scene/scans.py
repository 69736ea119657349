"""Scans: pictures of real documents with a box per word, all genuine."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from synthesis.folders import find_files
from synthesis.sampling import pick
from synthesis.scene.regions import Region
from utils.files import read_text
from utils.image import SUFFIXES, read_rgb

_MIN_CONTRAST = 45  # grey levels between the ink and the paper of a word


@dataclass(frozen=True)
class ScanWord:
    """A word of a scan and the pixels of its box."""

    text: str
    region: Region

    @property
    def height(self) -> int:
        """Height of its box, pixels."""
        return self.region.height

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom, both corners included."""
        left, top, right, bottom = self.region
        return left, top, right - 1, bottom - 1


@dataclass(frozen=True)
class Scan:
    """A document, uint8 (H, W, 3) RGB, and its words.

    Words of a crop may extend beyond it.
    """

    name: str
    pixels: np.ndarray
    words: tuple[ScanWord, ...]


def split_scans(folders: Sequence[Path], held_out: Sequence[str]) -> dict[str, list[Path]]:
    """Images with a text file of the same name below the folders; those held out are for testing.

    `held_out` are patterns of file names, or of folders as in `shops/*`. Raises ValueError naming a
    folder without a scan, or a pattern that matches none.
    """
    paths = [path for path in find_files(folders, SUFFIXES, "scans") if _words_file(path).is_file()]
    if folders and not paths:
        raise ValueError(f"{folders[0]}: no image with a .txt file of the same name")
    for pattern in held_out:
        if not any(path.match(pattern) for path in paths):
            raise ValueError(f"--held_out {pattern}: matches no scan")
    test = [path for path in paths if any(map(path.match, held_out))]
    return {"train": [path for path in paths if path not in test], "test": test}


def _words_file(path: Path) -> Path:
    return path.with_suffix(".txt")


@lru_cache(maxsize=32)
def read_scan(path: Path) -> Scan:
    """An image and its words, from lines `x1,y1,x2,y2,word` of the text file beside it.

    Boxes without contrast are left out: text recognition also finds print on the other side.
    Raises ValueError naming the file and the line for anything else.
    """
    words, lines = [], read_text(_words_file(path)).splitlines()
    pixels = np.array(read_rgb(path))
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    for number, line in enumerate(lines, start=1):
        *corners, text = line.split(",", 4)
        try:
            left, top, right, bottom = map(int, corners)
        except ValueError:
            place = f"{_words_file(path)}:{number}"
            raise ValueError(f"{place}: {line[:80]!r} is not x1,y1,x2,y2,word") from None
        region = Region(max(0, left), max(0, top), right, bottom)
        inside = grey[region.window]
        if inside.size and np.diff(np.quantile(inside, (0.02, 0.98))) > _MIN_CONTRAST:
            words.append(ScanWord(text, region))
    return Scan(path.name, pixels, tuple(words))


def draw_scan(rng: Generator, paths: Sequence[Path], side: int) -> Scan:
    """A crop of side x side around a word of one scan, which is enlarged if it is smaller."""
    scan = read_scan(pick(rng, paths))
    height, width = scan.pixels.shape[:2]
    factor = max(1.0, side / min(height, width))
    pixels = scan.pixels
    if factor > 1:
        size = [max(side, round(length * factor)) for length in (width, height)]
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC)
    room = np.subtract(pixels.shape[1::-1], side)
    corner = rng.integers(room + 1)
    if scan.words:
        center = np.reshape(pick(rng, scan.words).region, (2, 2)).mean(axis=0) * factor
        corner = np.clip(center - side * rng.uniform(0.2, 0.8, 2), 0, room).astype(int)
    left, top = corner.tolist()
    words = [_moved(word, factor, left, top) for word in scan.words]
    words = [word for word in words if min(word.region[2:]) > 0 and max(word.region[:2]) < side]
    return Scan(scan.name, pixels[top : top + side, left : left + side].copy(), tuple(words))


def _moved(word: ScanWord, factor: float, left: int, top: int) -> ScanWord:
    sides = np.round(np.multiply(word.region, factor)).astype(int) - (left, top, left, top)
    return ScanWord(word.text, Region(*sides.tolist()))
