"""Backgrounds: real photographs, varied so that a few look like many."""

import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from synthesis.sampling import between, coin, log_between, pick
from utils.image import SUFFIXES, read_rgb

# Photographs in scikit-image's own package whose documentation states CC0, the public domain, or no
# known restriction (docstrings of `skimage.data`). None of them is downloaded.
SHIPPED_PHOTOGRAPHS = (
    *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png"),
    *("grass.png", "gravel.png", "rocket.jpg"),
)
HELD_OUT = 4  # every 4th photograph is for the test split only
_LONGEST_SIDE = (
    1600  # pixels; a larger photograph is reduced when it is read, to keep many in memory
)
_CROPS_COMPARED = 6  # when crops with text-like structure are avoided


@dataclass(frozen=True)
class Background:
    """A surface to write on.

    Args:
        pixels: uint8 (S, S, 3) RGB.
        name: file name of the photograph.
        softness: blur in pixels (standard deviation) that enlarging the photograph has left in it.
    """

    pixels: np.ndarray
    name: str
    softness: float


def shipped_photographs() -> list[Path]:
    """Paths of the photographs that scikit-image ships."""
    folder = Path(str(importlib.resources.files("skimage") / "data"))
    return [folder / name for name in SHIPPED_PHOTOGRAPHS if (folder / name).is_file()]


def find_photographs(folders: Sequence[Path]) -> list[Path]:
    """All images below the folders, or scikit-image's without one; ValueError if none are there."""
    if not folders:
        if not (shipped := shipped_photographs()):
            raise ValueError("scikit-image ships no photographs here, name some: --backgrounds")
        return shipped
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"{folder}: missing folder of backgrounds")
    paths = {
        path
        for folder in folders
        for path in folder.rglob("[!.]*")
        if path.suffix.lower() in SUFFIXES
    }
    if not paths:
        raise ValueError(f"{folders[0]}: no image in this folder of backgrounds")
    return sorted(paths, key=lambda path: (path.name, str(path)))


def split_photographs(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Photographs for `train` and `test`.

    They differ, so that a test never shows a wall seen in training; a single one serves both.
    """
    if len(paths) < 2:
        return {"train": list(paths), "test": list(paths)}
    step = min(HELD_OUT, len(paths))
    held_out = list(paths[step - 1 :: step])
    return {"train": [path for path in paths if path not in held_out], "test": held_out}


def draw_background(
    rng: np.random.Generator, paths: Sequence[Path], size: int, avoid_text: bool = True
) -> Background:
    """A background of size x size from one photograph; ValueError naming an unreadable file."""
    path = pick(rng, paths)
    photograph = _read(str(path))
    side = min(photograph.shape[:2])
    crops = [
        _draw_crop(rng, photograph.shape[:2], side)
        for _ in range(_CROPS_COMPARED if avoid_text else 1)
    ]
    top, left, height, width = (
        min(crops, key=lambda crop: _text_share(str(path), crop)) if avoid_text else crops[0]
    )
    pixels = photograph[top : top + height, left : left + width]
    shrinks = min(height, width) > size
    pixels = cv2.resize(
        pixels, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )
    if coin(rng, 0.5):
        pixels = cv2.flip(pixels, 1)
    pixels = _recolour(rng, pixels)
    softness = 0.0 if shrinks else 0.5 * size / min(height, width)
    if coin(rng, 0.25):  # the camera is focused on a sign in front of it
        blur = log_between(rng, 1.0, size / 80)
        pixels, softness = cv2.GaussianBlur(pixels, (0, 0), blur), max(softness, blur)
    return Background(pixels, path.name, softness)


@lru_cache(maxsize=64)
def _read(path: str) -> np.ndarray:
    image = read_rgb(path)
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    return np.array(image)


def _draw_crop(
    rng: np.random.Generator, shape: tuple[int, int], side: int
) -> tuple[int, int, int, int]:
    scale, aspect = between(rng, 0.45, 1.0), between(rng, 0.85, 1.18)
    height = int(min(shape[0], max(16, side * scale)))
    width = int(min(shape[1], max(16, side * scale * aspect)))
    top = int(rng.integers(shape[0] - height + 1))
    left = int(rng.integers(shape[1] - width + 1))
    return top, left, height, width


def _text_share(path: str, crop: tuple[int, int, int, int]) -> float:
    top, left, height, width = crop
    corners = _text_table(path)[
        [top, top, top + height, top + height], [left, left + width, left, left + width]
    ]
    return float(corners[0] - corners[1] - corners[2] + corners[3]) / (height * width)


@lru_cache(maxsize=256)
def _text_table(path: str) -> np.ndarray:
    return cv2.integral(text_likeness(_read(path)).astype(np.uint8))


def text_likeness(pixels: np.ndarray) -> np.ndarray:
    """Where an RGB photograph has strong strokes in rows, as writing has: bool (H, W).

    A stroke is thinner than 9 pixels and much lighter or darker than what surrounds it; strokes
    closer than a letter to each other are joined, and what is then wider than high and filled well
    enough counts as a line of text.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (9, 9))
    strokes = [
        cv2.morphologyEx(grey, kind, kernel) > 60 for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)
    ]
    lines = np.zeros(grey.shape, dtype=bool)
    for mask in strokes:
        joined = cv2.morphologyEx(
            mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((1, 15), np.uint8)
        )
        count, labels, boxes, _ = cv2.connectedComponentsWithStats(joined)
        wide, high, area = boxes[:, 2], boxes[:, 3], boxes[:, 4]
        like_text = (high >= 6) & (high <= 120) & (wide > 1.5 * high) & (area > 0.35 * wide * high)
        like_text[0] = False  # what is no stroke
        lines |= like_text[labels] if count > 1 else False
    return lines


def _recolour(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    if coin(rng, 0.3):
        pixels = _plastered(rng, pixels)
    to_grey = np.full((3, 3), 1 / 3)
    if _is_grey(pixels):
        matrix = ((_wall_colour(rng) / 150) ** between(rng, 0.3, 1.0))[:, None] * to_grey
    else:
        matrix = to_grey + between(rng, 0.5, 1.3) * (np.eye(3) - to_grey)
    # Colour, contrast and exposure are affine in the channels: one 3 x 4 matrix, one pass.
    contrast = between(rng, 0.75, 1.1)
    gains = between(rng, 0.75, 1.2) * np.array([between(rng, 0.9, 1.1) for _ in range(3)])
    offset = np.full((3, 1), 128 * (1 - contrast))
    affine = gains[:, None] * np.concatenate([contrast * matrix, offset], axis=1)
    return cv2.transform(pixels, affine.astype(np.float32))


def _plastered(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """A painted wall to which the photograph only gives its fine relief."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    side = min(grey.shape) // 8 | 1
    strength = between(rng, 0.1, 0.5)
    relief = cv2.addWeighted(
        grey, strength, cv2.blur(grey, (side, side)), -strength, 0, dtype=cv2.CV_16S
    )
    return cv2.add(cv2.merge([relief] * 3), (*_paint_colour(rng).tolist(), 0.0), dtype=cv2.CV_8U)


def _is_grey(pixels: np.ndarray) -> bool:
    sample = pixels[::8, ::8].astype(np.int16)
    return bool(np.abs(sample[..., 0] - sample[..., 2]).mean() < 2)


def _paint_colour(rng: np.random.Generator) -> np.ndarray:
    if coin(rng, 0.7):
        return _wall_colour(rng)
    return _rgb(between(rng, 0, 360), between(rng, 0.1, 0.5), between(rng, 0.35, 0.95))


def _wall_colour(rng: np.random.Generator) -> np.ndarray:
    # Stone, plaster, concrete, wood: pale, dull and of an earthy hue.
    return _rgb(between(rng, 10, 60), between(rng, 0, 0.3), between(rng, 0.35, 0.95))


def _rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    pixel = np.float32([[[hue, saturation, value]]])
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0] * 255
