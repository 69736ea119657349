"""Decoys: strokes that are no writing, such as railings, branches, arrows and tiles."""

from collections.abc import Callable

import cv2
import numpy as np

from synthesis.sampling import between, coin, log_between, pick

_SUBPIXELS = 4  # bits of OpenCV's fixed-point coordinates
Points = np.ndarray  # (N, 2), x and y in pixels


def draw_decoy(rng: np.random.Generator, size: int) -> np.ndarray:
    """Coverage of one decoy in a picture of `size`, uint8 (S, S)."""
    canvas = np.zeros((size, size), dtype=np.uint8)
    pick(rng, _KINDS)(rng, canvas)
    return canvas


def _line(canvas: np.ndarray, points: Points, thickness: int, closed: bool = False) -> None:
    fixed = np.round(np.asarray(points) * 2**_SUBPIXELS).astype(np.int32)
    cv2.polylines(canvas, [fixed], closed, 255, thickness, cv2.LINE_AA, _SUBPIXELS)


def _fill(canvas: np.ndarray, points: Points) -> None:
    fixed = np.round(np.asarray(points) * 2**_SUBPIXELS).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], 255, cv2.LINE_AA, _SUBPIXELS)


def _somewhere(rng: np.random.Generator, canvas: np.ndarray) -> Points:
    return np.array([between(rng, 0.05, 0.95) * len(canvas) for _ in range(2)])


def _turned(points: Points, angle: float) -> Points:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.asarray(points) @ np.array([[cosine, sine], [-sine, cosine]])


def _thickness(rng: np.random.Generator, canvas: np.ndarray) -> int:
    return max(1, round(log_between(rng, 1, len(canvas) / 28)))


def _railing(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Parallel bars, as of fences, blinds, stairs and crossings."""
    thickness = max(1, _thickness(rng, canvas) // 2)
    step, count = thickness * between(rng, 1.8, 5), int(rng.integers(4, 18))
    length, angle = log_between(rng, 0.05, 0.5) * len(canvas), _angle(rng)
    middle = _somewhere(rng, canvas)
    for place in (np.arange(count) - count / 2) * step:
        bar = np.array([[place, -length / 2], [place, length / 2]])
        _line(canvas, _turned(bar, angle) + middle, thickness)
    if coin(rng, 0.5):
        rail = np.array([[-count / 2 * step, 0], [count / 2 * step, 0]])
        _line(canvas, _turned(rail, angle) + middle, thickness)


def _grid(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Tiles, windows or wire mesh."""
    thickness = max(1, _thickness(rng, canvas) // 3)
    step = thickness * between(rng, 4, 14)
    rows, columns = rng.integers(2, 9, size=2)
    angle, middle = _angle(rng), _somewhere(rng, canvas)
    x, y = (np.arange(n + 1) * step - n * step / 2 for n in (columns, rows))
    bars = [np.array([[place, y[0]], [place, y[-1]]]) for place in x]
    for bar in bars + [np.array([[x[0], place], [x[-1], place]]) for place in y]:
        _line(canvas, _turned(bar, angle) + middle, thickness)


def _branch(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Wandering lines that fork, as of twigs, cables and cracks."""
    thickness, place = max(1, _thickness(rng, canvas) // 2), _somewhere(rng, canvas)
    heading, stride = between(rng, 0, 2 * np.pi), len(canvas) / 40
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
                fork = heading + between(rng, 0.4, 1.2) * pick(rng, (-1, 1))
                starts.append((place, fork, steps // 2 + 1, max(1, width - 1)))
        _line(canvas, np.array(path), width)


def _ring(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Circles, wheels and frames, open or filled, alone or in a row as buttons and rivets are."""
    radius, thickness = log_between(rng, 3, len(canvas) / 6), _thickness(rng, canvas)
    middle, step = _somewhere(rng, canvas), _turned([[radius * 3, 0.0]], _angle(rng))[0]
    sides = pick(rng, (4, 4, 40, 40, 40, 3, 6))
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False) + _angle(rng) + np.pi / sides
    shape = radius * np.stack([np.cos(angle), between(rng, 0.6, 1.0) * np.sin(angle)], axis=1)
    filled = coin(rng, 0.35)
    for place in range(pick(rng, (1, 1, 1, 2, 3, 4, 6))):
        points = shape + middle + place * step
        if filled:
            _fill(canvas, points)
        else:
            _line(canvas, points, min(thickness, max(1, int(radius / 2))), closed=True)


def _arrow(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """A pointer, as on road signs."""
    length = log_between(rng, 10, len(canvas) / 3)
    width, head = length * between(rng, 0.06, 0.2), length * between(rng, 0.3, 0.5)
    half = [[0, width / 2], [length - head, width / 2], [length - head, width * 1.6], [length, 0]]
    points = np.array(half + [[x, -y] for x, y in half[-2::-1]])
    _fill(canvas, _turned(points, _angle(rng)) + _somewhere(rng, canvas))


def _leaves(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Many small blots, as of foliage, pebbles and light between leaves."""
    middle, spread = _somewhere(rng, canvas), log_between(rng, 0.03, 0.25) * len(canvas)
    blot = log_between(rng, 1.5, len(canvas) / 60)
    for _ in range(int(rng.integers(8, 70))):
        place = (middle + rng.normal(0, spread, size=2)) * 2**_SUBPIXELS
        axes = blot * np.exp(rng.normal(0, 0.4, size=2)) * 2**_SUBPIXELS
        center, axes = (tuple(int(v) for v in np.round(pair)) for pair in (place, axes))
        turn = between(rng, 0, 180)
        cv2.ellipse(canvas, center, axes, turn, 0, 360, 255, -1, cv2.LINE_AA, _SUBPIXELS)


def _angle(rng: np.random.Generator) -> float:
    """Rather upright or level than askew."""
    askew = rng.normal(0, 0.08) if coin(rng, 0.7) else between(rng, 0, np.pi)
    return float(pick(rng, (0.0, np.pi / 2)) + askew)


_KINDS: tuple[Callable[[np.random.Generator, np.ndarray], None], ...] = (
    *(_railing, _grid, _branch, _ring, _arrow, _leaves),
)
