"""Paper: clean or aged sheets, printer's ink, and print that shows through from behind."""

import cv2
import numpy as np
from numpy.random import Generator

from synthesis.photo.recolouring import hsv_to_rgb
from synthesis.sampling import coin, log_uniform, pick
from synthesis.text.lettering import Colour, Style, to_colour

_COLOURED_INKS: tuple[Colour, ...] = (
    *((150.0, 30.0, 25.0), (25.0, 45.0, 130.0), (20.0, 80.0, 60.0)),
)


def draw_paper(rng: Generator, photograph: np.ndarray) -> np.ndarray:
    """Paper with stains in the shapes of a photograph, uint8 (S, S, 3)."""
    size = len(photograph)
    hue, saturation = rng.uniform(20, 55), rng.uniform(0.0, 0.35) * rng.uniform(0.2, 1.0)
    colour = hsv_to_rgb(hue, saturation, rng.uniform(0.72, 1.0))
    paper: np.ndarray = np.broadcast_to(colour, photograph.shape).astype(np.float32)
    if coin(rng, 0.75):
        grey = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY).astype(np.float32)
        cloud: np.ndarray = cv2.GaussianBlur(grey, (0, 0), log_uniform(rng, size / 120, size / 12))
        cloud = np.clip((cloud - cloud.mean()) / (cloud.std() + 1e-3), -2.5, 2.5)
        # Stains take more blue than red: they are brown.
        tint = np.array([rng.uniform(0.4, 1.0), 1.0, rng.uniform(1.0, 1.9)], np.float32)
        paper = paper + log_uniform(rng, 2, 22) * cloud[..., None] * tint
    grain: np.ndarray = rng.standard_normal((size // 2 + 1, size // 2 + 1), dtype=np.float32)
    grain = cv2.resize(grain, (size, size), interpolation=cv2.INTER_CUBIC)
    paper = paper + rng.uniform(0.3, 4.0) * grain[..., None]
    return np.clip(paper + 0.5, 0, 255).astype(np.uint8)


def ruled(rng: Generator, paper: np.ndarray) -> np.ndarray:
    """Paper, uint8 (S, S, 3), with lines or squares, as of exercise books and forms."""
    size = len(paper)
    step, thickness = log_uniform(rng, size / 40, size / 10), int(rng.integers(1, 3))
    lines: np.ndarray = np.zeros((size, size), np.uint8)
    places = np.arange(rng.uniform(0, step), size, step).astype(int)
    for place in places:
        lines[place : place + thickness] = 255
    if coin(rng, 0.3):
        lines[:, places] = 255
    if coin(rng, 0.3):
        lines[:, int(0.12 * size)] = 255
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), rng.normal(0, 1.0), 1.1)
    lines = cv2.warpAffine(lines, turn, (size, size))
    ink = hsv_to_rgb(pick(rng, (0, 210, 225, 225)), rng.uniform(0.1, 0.7), rng.uniform(0.3, 0.8))
    alpha = rng.uniform(0.15, 0.8) * lines[..., None].astype(np.float32) / 255
    return np.clip(paper + alpha * (ink - paper) + 0.5, 0, 255).astype(np.uint8)


def draw_ink(rng: Generator, pen: bool = False) -> Style:
    """Printer's ink or that of a pen: dark, sometimes coloured, sometimes worn or faint."""
    level = rng.uniform(8, 80)
    colour = to_colour(level * rng.uniform(0.7, 1.3, 3), 0, 255)
    if coin(rng, 0.5 if pen else 0.12):
        colour = pick(rng, _COLOURED_INKS)
    return Style(
        colour,
        colour,
        opacity=rng.uniform(0.2, 0.75) if coin(rng, 0.2) else rng.uniform(0.75, 1.0),
        shading=rng.uniform(0.3, 1.0),
        texture=rng.uniform(0.0, 1.0),
        wear=rng.uniform(0.1, 0.5) if coin(rng, 0.3) else 0.0,
    )


def through_paper(rng: Generator, paper: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """Paper, uint8 (S, S, 3), with the mirrored print of its other side, coverage uint8 (S, S)."""
    behind: np.ndarray = cv2.flip(coverage, 1).astype(np.float32) / 255
    behind = cv2.GaussianBlur(behind, (0, 0), log_uniform(rng, 0.7, 3.0))
    keep = 1 - rng.uniform(0.06, 0.3) * behind[..., None]
    ink = rng.uniform(40, 110, 3).astype(np.float32)
    return np.clip(paper * keep + ink * (1 - keep) + 0.5, 0, 255).astype(np.uint8)
