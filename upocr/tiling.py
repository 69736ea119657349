"""Pictures of any size through a network: overlapping windows, blended smoothly."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from operator import itemgetter

import cv2
import numpy as np

STRIDE = 32  # the sides of a window are multiples of it
OVERLAP = 0.25  # fraction of a window shared with each neighbour
VERY_WIDE = 4  # widths per height from which windows go down the columns
# Rows and columns per step where a whole picture passes through floating point.
BAND, BAND_WIDTH = 256, 4096

Predict = Callable[[np.ndarray], np.ndarray]  # (B, 3, h, w) float32 in [0, 1] -> (B, ..., h, w)
Progress = Callable[[int], object]  # called with the number of windows just finished
Blocks = Iterator[tuple[slice, slice, np.ndarray]]  # rows, columns, (rows, columns, C) float32


def no_progress(count: int) -> None:
    """Report nothing."""


def tile(
    image: np.ndarray,
    predict: Predict,
    window: int,
    batch_size: int,
    progress: Progress = no_progress,
) -> Blocks:
    """Run `predict` over a picture in windows and yield the blended output block by block.

    Neighbouring windows fade into each other over a ramp halfway between their borders. Where both
    agree, the result is exactly theirs. Windows go along the rows, in a very wide picture down the
    columns; what is held between them is a ramp across the picture.

    Args:
        image: (H, W, 3) uint8 or uint16, RGB; mirrored at its right and lower border up to the
            next multiple of 32.
        predict: see `Predict`; the axes between B and h become the C channels.
        window: side in pixels, a multiple of 32.
        batch_size: most windows per call of `predict`.
        progress: see `Progress`.
    """
    height, width = image.shape[:2]
    ramp = ramp_of(window)
    rows, columns = _Axis.of(height, window, ramp), _Axis.of(width, window, ramp)
    places = list(product(range(len(rows.starts)), range(len(columns.starts))))
    if width > VERY_WIDE * height:
        places.sort(key=itemgetter(1))
    sides = rows.side, columns.side

    def outputs() -> Iterator[np.ndarray]:  # (C, h, w) each
        for first in range(0, len(places), batch_size):
            batch = places[first : first + batch_size]
            corners = [(rows.starts[i], columns.starts[j]) for i, j in batch]
            found = predict(np.stack([_cut(image, corner, sides) for corner in corners]))
            progress(len(batch))
            yield from found.reshape(len(batch), -1, *sides)

    left: dict[int, np.ndarray] = {}  # by row of windows: the ramp to the next window
    above: dict[int, np.ndarray] = {}  # by column
    for (i, j), output in zip(places, outputs(), strict=True):
        strip = _join(output, columns, j, left, i, axis=2)
        block = _join(strip, rows, i, above, j, axis=1)
        yield rows.cut(i), columns.cut(j), block.transpose(1, 2, 0)


@dataclass(frozen=True)
class _Axis:
    """The windows of a picture along one axis.

    Args:
        starts: first pixels of the windows.
        side: of the windows.
        cuts: where the windows part: one fades into the next over `ramp` pixels from there.
        ramp: see `ramp_of`.
    """

    starts: list[int]
    side: int
    cuts: list[int]
    ramp: int

    @classmethod
    def of(cls, length: int, window: int, ramp: int) -> "_Axis":
        side = min(window, round_up(length))
        starts = window_starts(length, side, ramp)
        inner = [ramp_start(start, before + side, ramp) for before, start in pairwise(starts)]
        return cls(starts, side, [0, *inner, length], ramp)

    def cut(self, index: int) -> slice:
        """Pixels of the picture that window `index` yields."""
        return slice(self.cuts[index], self.cuts[index + 1])


def count_windows(height: int, width: int, window: int) -> int:
    """Number of windows that `tile` runs."""
    ramp = ramp_of(window)
    counts = [len(window_starts(n, min(window, round_up(n)), ramp)) for n in (height, width)]
    return counts[0] * counts[1]


def ramp_of(window: int) -> int:
    """Pixels that a window shares with each neighbour; the smallest windows have no room for it."""
    return int(window * OVERLAP) if window > STRIDE else 0


def round_up(side: int) -> int:
    """The next multiple of 32."""
    return -(-side // STRIDE) * STRIDE


def window_starts(length: int, window: int, ramp: int) -> list[int]:
    """First pixels of the fewest, evenly spread windows that cover `length` and overlap by `ramp`.

    They are multiples of 32, so that the network cuts every window into the same patches: otherwise
    two windows would disagree on their overlap. The last window may reach beyond `length` by up to
    31 pixels. With a ramp of at most a third of a window, ramps never touch each other.
    """
    if length <= window:
        return [0]
    steps = (round_up(length) - window) // STRIDE
    gaps = -(-steps // ((window - ramp) // STRIDE))
    return [i * steps // gaps * STRIDE for i in range(gaps + 1)]


def _cut(image: np.ndarray, corner: tuple[int, int], sides: tuple[int, int]) -> np.ndarray:
    """The window at (top, left) as (3, h, w) float32 in [0, 1]."""
    top, left = corner
    part = image[top : top + sides[0], left : left + sides[1]]
    missing = [(0, side - n) for side, n in zip(sides, part.shape[:2], strict=True)]
    # Unlike "reflect", "symmetric" also stretches a single pixel.
    return to_unit(np.pad(part, [*missing, (0, 0)], mode="symmetric"))


def to_unit(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 or uint16 -> (3, H, W) float32 in [0, 1]."""
    scaled = image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


def ramp_start(start: int, previous_end: int, ramp: int) -> int:
    """First pixel of the ramp between two windows, in the middle of their overlap."""
    return start + (previous_end - start - ramp) // 2


def _fade(ramp: int) -> np.ndarray:
    """Weights of the new window over a ramp: half a period of a cosine from just above 0 to 1."""
    position = (np.arange(ramp, dtype=np.float32) + 0.5) / ramp
    return (1 - np.cos(np.pi * position)) / 2


def _join(
    output: np.ndarray,
    windows: _Axis,
    index: int,
    ramps: dict[int, np.ndarray],
    key: int,
    axis: int,
) -> np.ndarray:
    """Part of the output (C, h, w) of window `index` that it yields, faded in from the last window.

    ramps: under `key` the last window has left its ramp, and this one leaves its own.
    """
    start, own = windows.starts[index], windows.cut(index)
    own = slice(own.start - start, own.stop - start)
    part = _part(output, own, axis).copy()
    if index:
        shape = [1, 1, 1]
        shape[axis] = windows.ramp
        head, before = _part(part, slice(windows.ramp), axis), ramps.pop(key)
        # One window plus a fraction of the difference is exact where both agree.
        head[:] = before + _fade(windows.ramp).reshape(shape) * (head - before)
    if index + 1 < len(windows.starts):
        ramps[key] = _part(output, slice(own.stop, own.stop + windows.ramp), axis).copy()
    return part


def _part(array: np.ndarray, places: slice, axis: int) -> np.ndarray:
    """A view of (C, h, w) cut along one axis."""
    return array[:, places] if axis == 1 else array[:, :, places]


def run_resized(image: np.ndarray, predict: Predict, side: int) -> Blocks:
    """Run `predict` on the whole picture resized to `side` x `side`; yield its output enlarged."""
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    output = predict(to_unit(small)[None]).reshape(-1, side, side).transpose(1, 2, 0)
    height, width = image.shape[:2]
    for rows in cuts(height, BAND):
        for columns in cuts(width, BAND_WIDTH):
            yield rows, columns, enlarge(output, rows, columns, (height, width))


def enlarge(small: np.ndarray, rows: slice, columns: slice, size: tuple[int, int]) -> np.ndarray:
    """A block of `small`, (h, w) or (h, w, C), resized bilinearly to `size`, (height, width).

    Unlike in OpenCV, a value does not depend on the number of channels.
    """
    before, after, share = _neighbours(rows, small.shape[0], size[0])
    left, right, part = _neighbours(columns, small.shape[1], size[1])
    first = left[0]
    small = small[:, first : right[-1] + 1]
    tall = _mix(small.take(before, 0), small.take(after, 0), share, 0)
    return _mix(tall.take(left - first, 1), tall.take(right - first, 1), part, 1)


def _neighbours(places: slice, old: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of `places` on an axis resized from `old` to `size`: pixels before, after, share of these."""
    position = ((np.arange(places.start, places.stop) + 0.5) * old / size - 0.5).clip(0, old - 1)
    before = np.floor(position).astype(int)
    return before, np.minimum(before + 1, old - 1), (position - before).astype(np.float32)


def _mix(start: np.ndarray, end: np.ndarray, share: np.ndarray, axis: int) -> np.ndarray:
    return start + share.reshape(-1, *[1] * (start.ndim - axis - 1)) * (end - start)


def row_bands(height: int, width: int) -> Iterator[slice]:
    """Slices that cut the rows of a picture into bands, lower ones in a very wide picture."""
    rows = max(1, min(BAND, BAND * BAND_WIDTH // width))
    return cuts(height, rows)


def cuts(length: int, step: int) -> Iterator[slice]:
    """Slices that cut `length` pixels into pieces of `step`, the last one shorter."""
    return (slice(start, min(start + step, length)) for start in range(0, length, step))
