"""Backgrounds: photographs, cropped and recoloured so that a few look like many."""

import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from synthesis.folders import find_files
from synthesis.photo.recolouring import recolour
from synthesis.sampling import coin, log_uniform, pick
from utils.image import SUFFIXES, read_rgb

# Photographs in scikit-image's package whose documentation (docstrings of `skimage.data`) states
# CC0, the public domain or no known restriction. None of them is downloaded.
SHIPPED_PHOTOGRAPHS = (
    *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png"),
    *("grass.png", "gravel.png", "rocket.jpg"),
)
HELD_OUT = 4  # every 4th photograph is reserved for the test split
_LONGEST_SIDE = 1600  # pixels; larger photographs are reduced, so that many fit into memory
_CROPS_COMPARED = 6

Crop = tuple[int, int, int, int]  # top, left, height, width in pixels


@dataclass(frozen=True)
class Background:
    """A surface for text.

    Args:
        pixels: uint8 (S, S, 3) RGB.
        name: file name of the photograph.
        softness: standard deviation of its blur in pixels, from enlargement or defocus.
    """

    pixels: np.ndarray
    name: str
    softness: float


def shipped_photographs() -> list[Path]:
    """Paths of the photographs that scikit-image ships."""
    folder = Path(str(importlib.resources.files("skimage") / "data"))
    return [folder / name for name in SHIPPED_PHOTOGRAPHS if (folder / name).is_file()]


def find_photographs(folders: Sequence[Path]) -> list[Path]:
    """All images below the folders, by default scikit-image's; ValueError if there are none."""
    if not folders:
        if not (shipped := shipped_photographs()):
            raise ValueError("scikit-image ships no photographs here, name some: --backgrounds")
        return shipped
    if not (paths := find_files(folders, SUFFIXES, "backgrounds")):
        raise ValueError(f"{folders[0]}: no image in this folder of backgrounds")
    return paths


def split_photographs(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Disjoint photographs for `train` and `test`; a single photograph serves both."""
    if len(paths) < 2:
        return {"train": list(paths), "test": list(paths)}
    step = min(HELD_OUT, len(paths))
    held_out = list(paths[step - 1 :: step])
    return {"train": [path for path in paths if path not in held_out], "test": held_out}


def draw_background(
    rng: Generator,
    paths: Sequence[Path],
    size: int,
    avoid_text: bool = True,
    text_like: bool = False,
) -> Background:
    """A background of size x size from one photograph; ValueError naming an unreadable file.

    With `avoid_text` it is the crop of several with the least text-like structure. A `text_like`
    one is that with the most, such as foliage, fences or tiles, neither plastered nor defocused.
    """
    path = pick(rng, paths)
    photograph = _read(str(path))
    compared = _CROPS_COMPARED if avoid_text or text_like else 1
    crops = [_draw_crop(rng, photograph) for _ in range(compared)]
    if compared > 1:
        crops.sort(key=lambda crop: _text_share(str(path), crop), reverse=text_like)
    top, left, height, width = crops[0]
    shrinks = min(height, width) > size
    pixels = cv2.resize(
        photograph[top : top + height, left : left + width],
        (size, size),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC,
    )
    if coin(rng, 0.5):
        pixels = cv2.flip(pixels, 1)
    pixels = recolour(rng, pixels, plaster=0.0 if text_like else 0.3)
    softness = 0.0 if shrinks else 0.5 * size / min(height, width)
    if not text_like and coin(rng, 0.25):  # the camera is focused on a sign in front of it
        blur = log_uniform(rng, 1.0, size / 80)
        pixels, softness = cv2.GaussianBlur(pixels, (0, 0), blur), max(softness, blur)
    return Background(pixels, path.name, softness)


@lru_cache(maxsize=64)
def _read(path: str) -> np.ndarray:
    image = read_rgb(path)
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    return np.array(image)


def _draw_crop(rng: Generator, photograph: np.ndarray) -> Crop:
    full_height, full_width = photograph.shape[:2]
    side = min(full_height, full_width) * rng.uniform(0.45, 1.0)
    aspect = rng.uniform(0.85, 1.18)
    height = int(min(full_height, max(16, side)))
    width = int(min(full_width, max(16, side * aspect)))
    top = int(rng.integers(full_height - height + 1))
    left = int(rng.integers(full_width - width + 1))
    return top, left, height, width


@lru_cache(maxsize=256)
def _text_map(path: str) -> np.ndarray:
    return text_likeness(_read(path)).astype(np.uint8)


def _text_share(path: str, crop: Crop) -> float:
    """Share of a crop that resembles text."""
    top, left, height, width = crop
    area = cv2.countNonZero(_text_map(path)[top : top + height, left : left + width])
    return area / (height * width)


def text_likeness(pixels: np.ndarray) -> np.ndarray:
    """Strong strokes in rows, as in writing, of an RGB photograph: bool (H, W).

    A stroke is thinner than 9 pixels and much lighter or darker than its surroundings. Strokes that
    are closer than a letter are joined; a shape that is then wide and filled enough is a line.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    kernel = np.ones((9, 9), np.uint8)
    lines = np.zeros(grey.shape, dtype=bool)
    for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
        strokes = (cv2.morphologyEx(grey, kind, kernel) > 60).astype(np.uint8)
        joined = cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, np.ones((1, 15), np.uint8))
        _, labels, boxes, _ = cv2.connectedComponentsWithStats(joined)
        width, height, area = boxes[:, 2], boxes[:, 3], boxes[:, 4]
        is_line = (height >= 6) & (height <= 120) & (width > 1.5 * height)
        is_line &= area > 0.35 * width * height
        is_line[0] = False  # the background
        lines |= is_line[labels]
    return lines
