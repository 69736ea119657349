"""Recolouring: other colours, contrast and exposure for a background, or plaster over it."""

import cv2
import numpy as np
from numpy.random import Generator

from synthesis.sampling import coin


def recolour(rng: Generator, pixels: np.ndarray, plaster: float) -> np.ndarray:
    """uint8 (H, W, 3) RGB -> the same; `plaster` is the probability of a plastered wall."""
    if coin(rng, plaster):
        pixels = _plastered(rng, pixels)
    to_grey = np.full((3, 3), 1 / 3)
    sample = pixels[::8, ::8].astype(np.int16)
    if np.abs(sample[..., 0] - sample[..., 2]).mean() < 2:  # a grey photograph
        matrix = ((_wall_colour(rng) / 150) ** rng.uniform(0.3, 1.0))[:, None] * to_grey
    else:
        matrix = to_grey + rng.uniform(0.5, 1.3) * (np.eye(3) - to_grey)
    # Colour, contrast and exposure are affine in the channels: one 3 x 4 matrix, one pass.
    contrast = rng.uniform(0.75, 1.1)
    gains = rng.uniform(0.75, 1.2) * rng.uniform(0.9, 1.1, 3)
    offset = np.full((3, 1), 128 * (1 - contrast))
    affine = gains[:, None] * np.concatenate([contrast * matrix, offset], axis=1)
    return cv2.transform(pixels, affine.astype(np.float32))


def hsv_to_rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    """Colour (3,), float32 0-255, of a hue in degrees and a saturation and value of 0-1."""
    pixel = np.array([[[hue, saturation, value]]], np.float32)
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0] * 255


def _plastered(rng: Generator, pixels: np.ndarray) -> np.ndarray:
    """A painted wall that keeps only the fine relief of the photograph."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    side = min(grey.shape) // 8 | 1
    smooth, strength = cv2.blur(grey, (side, side)), rng.uniform(0.1, 0.5)
    relief = cv2.addWeighted(grey, strength, smooth, -strength, 0, dtype=cv2.CV_16S)
    paint = np.append(_paint_colour(rng), 0)  # a scalar of OpenCV has four channels
    return cv2.add(cv2.merge([relief] * 3), paint, dtype=cv2.CV_8U)


def _paint_colour(rng: Generator) -> np.ndarray:
    if coin(rng, 0.7):
        return _wall_colour(rng)
    return hsv_to_rgb(rng.uniform(0, 360), rng.uniform(0.1, 0.5), rng.uniform(0.35, 0.95))


def _wall_colour(rng: Generator) -> np.ndarray:
    # Stone, plaster, concrete, wood: pale, dull and of an earthy hue.
    return hsv_to_rgb(rng.uniform(10, 60), rng.uniform(0, 0.3), rng.uniform(0.35, 0.95))
