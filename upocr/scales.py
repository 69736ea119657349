"""Large text, detected at 1/2, 1/4, ... scale: a window inside a huge letter shows a plain area."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from upocr.tasks import TASKS, TEXT_SEGMENTATION
from upocr.tiling import Blocks, enlarge

LARGE = 40  # text above this height in pixels, or half a window, is taken from a smaller scale
LEAST = 0.25  # the smallest scale fits into this fraction of a window
# A page or a plate that looks like one letter from afar is less certain or thicker than letters.
# Letters of sample pictures have a mean probability of at least 0.74, and strokes of at most 0.36
# of the longer side; connected handwriting is less certain, and thin.
LIKELY, CERTAIN = 0.5, 0.7
THIN, THICK = 0.12, 0.4

Level = Callable[[np.ndarray, Sequence[str]], Blocks]  # a picture and tasks -> 3 * T channels


@dataclass(frozen=True)
class Coarse:
    """Output of a smaller scale and the share of it that a finer scale adopts.

    Args:
        output: (h, w, C) float16.
        shares: (h, w, 2) float32 in [0, 1], for pictures and for class maps.
    """

    output: np.ndarray
    shares: np.ndarray


def half_sizes(size: tuple[int, int], window: int) -> Iterator[tuple[int, int]]:
    """1/2, 1/4, ... of (height, width), down to `LEAST` of a window.

    Sizes that have no room for large text are left out.
    """
    while max(size) > LEAST * window:
        size = -(-size[0] // 2), -(-size[1] // 2)
        if min(size) <= least_large(window):
            return
        yield size


def least_large(window: int) -> float:
    """Height at one scale, in pixels, above which text is large for the next finer scale."""
    return min(LARGE, window / 2) / 2


def multiscale(rgb: np.ndarray, tasks: Sequence[str], level: Level, window: int) -> Blocks:
    """Run tasks at all scales; every scale adopts large text from the next smaller one.

    The segmentation decides what is large text, so the model must have that task.

    Args:
        rgb: (H, W, 3) uint8 or uint16.
        tasks: their outputs follow one another in the channels, three each.
        level: runs tasks on a picture at one scale.
        window: side in pixels.
    """
    name = TEXT_SEGMENTATION.name
    asked = [*tasks, *({name} - set(tasks))]
    place = 3 * asked.index(name)
    pictures = [rgb]
    for size in half_sizes((len(rgb), rgb.shape[1]), window):
        pictures.append(cv2.resize(pictures[-1], size[::-1], interpolation=cv2.INTER_AREA))
    coarse = None
    while len(pictures) > 1:
        smaller = pictures.pop()
        output = np.empty((*smaller.shape[:2], 3 * len(asked)), np.float16)
        likely = np.empty(smaller.shape[:2], np.float32)
        text = np.empty(smaller.shape[:2], np.uint8)
        for rows, columns, block in _adopt(coarse, level(smaller, asked), smaller, asked):
            output[rows, columns] = block
            probability = output[rows, columns, place : place + 3].astype(np.float32)
            likely[rows, columns] = probability.mean(axis=2)
            text[rows, columns] = TEXT_SEGMENTATION.classes_of(probability)
        shares = large_text(text, likely, window)
        coarse = None if shares is None else Coarse(output, shares)
    yield from _adopt(coarse, level(rgb, tasks), rgb, tasks)


def _adopt(
    coarse: Coarse | None, blocks: Blocks, image: np.ndarray, tasks: Sequence[str]
) -> Blocks:
    """Blocks of `image` with the large text of a smaller scale in its place."""
    if coarse is None:
        yield from blocks
        return
    size = image.shape[0], image.shape[1]
    kinds = np.repeat([0 if TASKS[task].decode is None else 1 for task in tasks], 3)
    for rows, columns, block in blocks:
        share = enlarge(coarse.shares, rows, columns, size)[:, :, kinds]
        if share.any():
            other = enlarge(coarse.output[:, :, : len(kinds)], rows, columns, size)
            yield rows, columns, block + share * (other - block)
        else:
            yield rows, columns, block


def large_text(text: np.ndarray, likely: np.ndarray, window: int) -> np.ndarray | None:
    """Shares of this scale that the next finer one adopts; None without large text.

    Pictures without text are adopted entirely. Class maps are averaged with those of the finer
    scale, whose edges are sharper, unless the letters are too large even at this scale.

    Args:
        text: (h, w) uint8, 1 for text.
        likely: (h, w) float32, probability of text.
        window: side in pixels.

    Returns (h, w, 2) float32 in [0, 1], for pictures and for class maps.
    """
    limit = least_large(window)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(text)
    sides = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    huge = sides.min(axis=1) > 2 * limit
    letters = _are_letters(text, likely, labels, sides, huge) & (sides.max(axis=1) > limit)
    large = letters & (sides.min(axis=1) > limit)
    if not large.any():
        return None
    # A narrow letter is as high as its neighbours.
    near = np.unique(labels[_dilated(large[labels], limit / 2) > 0])
    large[near] |= letters[near]
    of_large, of_huge = (_dilated(kind[labels], limit / 4) for kind in (large, large & huge))
    return cv2.blur(np.dstack((of_large, 0.5 * (of_large + of_huge))), (3, 3))


def _are_letters(
    text: np.ndarray, likely: np.ndarray, labels: np.ndarray, sides: np.ndarray, huge: np.ndarray
) -> np.ndarray:
    """Whether each area is likely enough and of thin enough strokes, (N,) bool.

    text, likely, labels: (h, w), see `large_text`; sides: (N, 2) in pixels; huge: (N,) bool, areas
    that must be certain unless their strokes are thin. Area 0 is none.
    """
    places = text > 0
    numbers = labels[places]
    sums = np.bincount(numbers, likely[places], len(sides))
    depth = cv2.distanceTransform(np.pad(text, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    strokes = np.zeros(len(sides), np.float32)
    np.maximum.at(strokes, numbers, 2 * depth[places])
    lengths = sides.max(axis=1)
    least = np.where(huge & (strokes > THIN * lengths), CERTAIN, LIKELY)
    enough = sums > least * np.bincount(numbers, minlength=len(sides))
    return enough & (strokes <= THICK * lengths)


def _dilated(mask: np.ndarray, reach: float) -> np.ndarray:
    """(H, W) bool -> float32, 1 also within `reach` pixels of the mask."""
    side = 2 * round(reach) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.dilate(mask.astype(np.float32), kernel)
