"""Distractors: strokes that are no writing, such as railings, branches, arrows and tiles."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from synthesis.sampling import coin, log_uniform, pick
from synthesis.scene.geometry import SUBPIXEL_BITS, fill_polygon, fixed_point


def draw_distractor(rng: Generator, size: int) -> np.ndarray:
    """Coverage of one distractor in a picture of `size` pixels, uint8 (S, S)."""
    canvas = np.zeros((size, size), dtype=np.uint8)
    pick(rng, KINDS)(rng, canvas)
    return canvas


def _line(canvas: np.ndarray, points: np.ndarray, thickness: int, closed: bool = False) -> None:
    fixed = [fixed_point(points)]
    cv2.polylines(canvas, fixed, closed, 255, thickness, cv2.LINE_AA, SUBPIXEL_BITS)


def _turned(points: np.ndarray | list[list[float]], angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.asarray(points) @ np.array([[cosine, sine], [-sine, cosine]])


def _draw_middle(rng: Generator, canvas: np.ndarray) -> np.ndarray:
    return rng.uniform(0.05, 0.95, 2) * len(canvas)


def _draw_thickness(rng: Generator, canvas: np.ndarray) -> int:
    return max(1, round(log_uniform(rng, 1, len(canvas) / 28)))


def _draw_angle(rng: Generator) -> float:
    """Usually upright or level, sometimes askew."""
    askew = rng.normal(0, 0.08) if coin(rng, 0.7) else rng.uniform(0, np.pi)
    return pick(rng, (0.0, np.pi / 2)) + askew


def _railing(rng: Generator, canvas: np.ndarray) -> None:
    """Parallel bars, as of fences, blinds, stairs and crossings."""
    thickness = max(1, _draw_thickness(rng, canvas) // 2)
    step, count = thickness * rng.uniform(1.8, 5), int(rng.integers(4, 18))
    length, angle = log_uniform(rng, 0.05, 0.5) * len(canvas), _draw_angle(rng)
    middle = _draw_middle(rng, canvas)
    for place in (np.arange(count) - count / 2) * step:
        bar = _turned([[place, -length / 2], [place, length / 2]], angle)
        _line(canvas, bar + middle, thickness)
    if coin(rng, 0.5):
        rail = _turned([[-count / 2 * step, 0], [count / 2 * step, 0]], angle)
        _line(canvas, rail + middle, thickness)


def _grid(rng: Generator, canvas: np.ndarray) -> None:
    """Tiles, windows or wire mesh."""
    thickness = max(1, _draw_thickness(rng, canvas) // 3)
    step = thickness * rng.uniform(4, 14)
    rows, columns = rng.integers(2, 9, size=2)
    angle, middle = _draw_angle(rng), _draw_middle(rng, canvas)
    x, y = (np.arange(n + 1) * step - n * step / 2 for n in (columns, rows))
    bars = [[[place, y[0]], [place, y[-1]]] for place in x]
    for bar in bars + [[[x[0], place], [x[-1], place]] for place in y]:
        _line(canvas, _turned(bar, angle) + middle, thickness)


def _branch(rng: Generator, canvas: np.ndarray) -> None:
    """Wandering lines that fork, as of twigs, cables and cracks."""
    thickness, place = max(1, _draw_thickness(rng, canvas) // 2), _draw_middle(rng, canvas)
    heading, stride = rng.uniform(0, 2 * np.pi), len(canvas) / 40
    starts = [(place, heading, int(rng.integers(8, 30)), thickness)]
    for _ in range(12):
        if not starts:
            break
        place, heading, steps, width = starts.pop()
        path = [place]
        for _ in range(steps):
            heading += rng.normal(0, 0.25)
            place = place + stride * np.array([np.cos(heading), np.sin(heading)])
            path.append(place)
            if coin(rng, 0.12):
                fork = heading + rng.uniform(0.4, 1.2) * pick(rng, (-1, 1))
                starts.append((place, fork, steps // 2 + 1, max(1, width - 1)))
        _line(canvas, np.array(path), width)


def _circle(rng: Generator, canvas: np.ndarray) -> None:
    """Wheels, frames, buttons or rivets, round or angular, open or filled, alone or in a row."""
    radius, thickness = log_uniform(rng, 3, len(canvas) / 6), _draw_thickness(rng, canvas)
    middle, step = _draw_middle(rng, canvas), _turned([[radius * 3, 0.0]], _draw_angle(rng))[0]
    sides = pick(rng, (4, 4, 40, 40, 40, 3, 6))
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False) + _draw_angle(rng) + np.pi / sides
    shape = radius * np.stack([np.cos(angle), rng.uniform(0.6, 1.0) * np.sin(angle)], axis=1)
    filled = coin(rng, 0.35)
    for place in range(pick(rng, (1, 1, 1, 2, 3, 4, 6))):
        points = shape + middle + place * step
        if filled:
            fill_polygon(canvas, points)
        else:
            _line(canvas, points, min(thickness, max(1, int(radius / 2))), closed=True)


def _arrow(rng: Generator, canvas: np.ndarray) -> None:
    """A pointer, as on road signs."""
    length = log_uniform(rng, 10, len(canvas) / 3)
    width, head = length * rng.uniform(0.06, 0.2), length * rng.uniform(0.3, 0.5)
    half = [[0, width / 2], [length - head, width / 2], [length - head, width * 1.6], [length, 0]]
    points = half + [[x, -y] for x, y in half[-2::-1]]
    fill_polygon(canvas, _turned(points, _draw_angle(rng)) + _draw_middle(rng, canvas))


def _leaves(rng: Generator, canvas: np.ndarray) -> None:
    """Many small blots, as of foliage, pebbles and light between leaves."""
    middle, spread = _draw_middle(rng, canvas), log_uniform(rng, 0.03, 0.25) * len(canvas)
    blot = log_uniform(rng, 1.5, len(canvas) / 60)
    for _ in range(rng.integers(8, 70)):
        center = fixed_point(middle + rng.normal(0, spread, size=2)).tolist()
        axes = fixed_point(blot * np.exp(rng.normal(0, 0.4, size=2))).tolist()
        turn = rng.uniform(0, 180)
        cv2.ellipse(canvas, center, axes, turn, 0, 360, 255, -1, cv2.LINE_AA, SUBPIXEL_BITS)


KINDS: tuple[Callable[[Generator, np.ndarray], None], ...] = (
    *(_railing, _grid, _branch, _circle, _arrow, _leaves),
)
