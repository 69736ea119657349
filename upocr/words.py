"""From segmented strokes to words: lines run from left to right, roughly level."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from upocr.regions import Region
from upocr.tiling import row_bands

# Distances below are in heights of the letters of a line.
REACH = 1.5  # the largest gap inside a line
BESIDE = 0.3  # part of its height that the lower of two neighbours shares with the other: a comma
MARK = 0.5  # an accent, a dot or a comma is at most this high ...
MARK_REACH = 0.4  # ... and at most this far above or below its letter
SPACE = 0.28  # the narrowest space between words of a line that shows no other
LEAST_SPACE, MOST_SPACE = 0.15, 0.8  # where the spaces of a line may begin
APART = 2  # spaces are on average at least that many times as wide as gaps between letters


@dataclass(frozen=True)
class _Gaps:
    """Strokes that see each other along one axis: numbers of the two, and pixels between them."""

    first: np.ndarray
    second: np.ndarray
    sizes: np.ndarray

    def where(self, chosen: np.ndarray) -> "_Gaps":
        return _Gaps(self.first[chosen], self.second[chosen], self.sizes[chosen])


def find_words(text: np.ndarray, scores: np.ndarray, label: str, min_area: int) -> list[Region]:
    """Words in reading order: line by line, from left to right.

    Strokes of a line belong to one word unless a space parts them, and how wide a space is, the
    line itself tells: its gaps are of two kinds, and the narrow ones part letters.

    Args:
        text: (H, W) uint8, nonzero for text.
        scores: (H, W) uint8, 255 is certain.
        label: of the regions.
        min_area: smaller words are left out, in pixels.

    Polygons are convex hulls.
    """
    _, strokes, stats, _ = cv2.connectedComponentsWithStats(text, connectivity=8)
    across = _gaps(strokes)
    lines = _joined(len(stats), _of_lines(across, stats))
    words = _joined(len(stats), _inside_words(across, stats, lines))
    words = _joined(len(stats), _of_marks(_gaps(strokes.T), stats, words))[words]
    return _regions(strokes, stats, words, lines, scores, label, min_area)


def _gaps(strokes: np.ndarray) -> _Gaps:
    """Of every pair of strokes that see each other along a row, the narrowest gap."""
    height, width = strokes.shape
    found = [_gaps_of_band(strokes[rows]) for rows in row_bands(height, width)]
    first, second, sizes = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((sizes, second, first))
    first, second, sizes = first[order], second[order], sizes[order]
    begins = np.ones(len(first), bool)
    begins[1:] = (np.diff(first) != 0) | (np.diff(second) != 0)
    return _Gaps(first, second, sizes).where(begins)


def _gaps_of_band(strokes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, columns = np.nonzero(strokes)
    numbers = strokes[rows, columns]
    next_one = (np.diff(rows) == 0) & (np.diff(numbers) != 0)
    return numbers[:-1][next_one], numbers[1:][next_one], np.diff(columns)[next_one] - 1


def _of_lines(gaps: _Gaps, stats: np.ndarray) -> _Gaps:
    """Gaps between strokes of one line: near enough and side by side."""
    top, height = stats[:, cv2.CC_STAT_TOP], stats[:, cv2.CC_STAT_HEIGHT]
    a, b = gaps.first, gaps.second
    shared = np.minimum(top[a] + height[a], top[b] + height[b]) - np.maximum(top[a], top[b])
    beside = shared >= BESIDE * np.minimum(height[a], height[b])
    return gaps.where(beside & (gaps.sizes <= REACH * np.maximum(height[a], height[b])))


def _inside_words(gaps: _Gaps, stats: np.ndarray, lines: np.ndarray) -> _Gaps:
    """Gaps between letters of one word."""
    gaps = _of_lines(gaps, stats)
    heights = _heights(stats, lines)
    left = stats[:, cv2.CC_STAT_LEFT]
    between = left[gaps.second] - left[gaps.first] - stats[gaps.first, cv2.CC_STAT_WIDTH]
    sizes = np.maximum(between, 0) / heights[lines[gaps.first]]  # of boxes: AV stand close
    spaces = np.full(len(stats), SPACE)
    for line, own in _grouped(lines[gaps.first]):
        spaces[line] = _space(_nearest(gaps, sizes, own, stats, heights[line]))
    return gaps.where(sizes < spaces[lines[gaps.first]])


def _heights(stats: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Height of the letters by line: the median, in which wide strokes count more."""
    heights = np.ones(len(stats))
    for line, own in _grouped(lines):
        order = own[np.argsort(stats[own, cv2.CC_STAT_HEIGHT])]
        weights = np.cumsum(stats[order, cv2.CC_STAT_WIDTH])
        middle = order[np.searchsorted(weights, weights[-1] / 2)]
        heights[line] = stats[middle, cv2.CC_STAT_HEIGHT]
    return heights


def _nearest(
    gaps: _Gaps, sizes: np.ndarray, own: np.ndarray, stats: np.ndarray, height: float
) -> np.ndarray:
    """Sorted gaps of a line between every letter and the next one."""
    letters = stats[:, cv2.CC_STAT_HEIGHT] > MARK * height
    own = own[letters[gaps.first[own]] & letters[gaps.second[own]]]
    own = own[np.lexsort((sizes[own], gaps.first[own]))]
    _, begins = np.unique(gaps.first[own], return_index=True)
    return np.sort(sizes[own[begins]])


def _space(sizes: np.ndarray) -> float:
    """Where the spaces of a line begin, from its sorted gaps; Otsu's threshold of two kinds."""
    if len(sizes) < 2:
        return SPACE
    middles, count = (sizes[1:] + sizes[:-1]) / 2, np.arange(1, len(sizes))
    sizes = np.minimum(sizes, MOST_SPACE)  # how much wider some are tells nothing
    sums = np.cumsum(sizes)
    narrow, wide = sums[:-1] / count, (sums[-1] - sums[:-1]) / count[::-1]
    possible = (middles > LEAST_SPACE) & (middles < MOST_SPACE) & (wide > APART * narrow)
    if not possible.any():
        return SPACE
    between = count * count[::-1] * (wide - narrow) ** 2
    return float(middles[possible][between[possible].argmax()])


def _of_marks(gaps: _Gaps, stats: np.ndarray, words: np.ndarray) -> _Gaps:
    """Gaps, along columns, between a letter and its accent or dot."""
    height = stats[:, cv2.CC_STAT_HEIGHT]
    a, b = words[gaps.first], words[gaps.second]
    least, most = (
        pick(height[gaps.first], height[gaps.second]) for pick in (np.minimum, np.maximum)
    )
    near = (gaps.sizes <= MARK_REACH * most) & (least <= MARK * most) & (a != b)
    return _Gaps(a, b, gaps.sizes).where(near)


def _grouped(numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Every number and its places."""
    order = np.argsort(numbers, kind="stable")
    found, begins = np.unique(numbers[order], return_index=True)
    return zip(found.tolist(), np.split(order, begins)[1:], strict=True)


def _joined(count: int, gaps: _Gaps) -> np.ndarray:
    """Number of the group of each of `count` strokes: the least of those that gaps join."""
    groups = np.arange(count)

    def find(number: int) -> int:
        while groups[number] != number:
            groups[number] = groups[groups[number]]
            number = groups[number]
        return number

    for first, second in zip(gaps.first.tolist(), gaps.second.tolist(), strict=True):
        low, high = sorted((find(first), find(second)))
        groups[high] = low
    return np.array([find(number) for number in range(count)])


def _regions(
    strokes: np.ndarray,
    stats: np.ndarray,
    words: np.ndarray,
    lines: np.ndarray,
    scores: np.ndarray,
    label: str,
    min_area: int,
) -> list[Region]:
    found = []
    for word, own in _grouped(words):
        if word and stats[own, cv2.CC_STAT_AREA].sum() >= min_area:
            tallest = own[stats[own, cv2.CC_STAT_HEIGHT].argmax()]
            found.append((lines[tallest], _region(strokes, stats, own, scores, label)))
    tops: dict[int, int] = {}
    for line, region in found:
        tops[line] = min(tops.get(line, region.box[1]), region.box[1])
    found.sort(key=lambda each: (tops[each[0]], each[0], each[1].box[0]))
    return [region for _, region in found]


def _region(
    strokes: np.ndarray, stats: np.ndarray, own: np.ndarray, scores: np.ndarray, label: str
) -> Region:
    left, top = (int(stats[own, kind].min()) for kind in (cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP))
    right = int((stats[own, cv2.CC_STAT_LEFT] + stats[own, cv2.CC_STAT_WIDTH]).max())
    bottom = int((stats[own, cv2.CC_STAT_TOP] + stats[own, cv2.CC_STAT_HEIGHT]).max())
    window = np.s_[top:bottom, left:right]
    inside = np.isin(strokes[window], own)
    outlines, _ = cv2.findContours(
        inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top)
    )
    hull = cv2.convexHull(np.concatenate(outlines))[:, 0]
    return Region(
        label,
        (left, top, right, bottom),
        [(int(x), int(y)) for x, y in hull],
        round(float(scores[window][inside].mean()) / 255, 4),
        int(np.count_nonzero(inside)),
    )
