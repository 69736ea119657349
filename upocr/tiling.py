"""Pictures of any size through a network: overlapping windows, blended smoothly."""

from collections.abc import Callable, Iterator
from itertools import islice, pairwise

import cv2
import numpy as np

STRIDE = 32  # the sides of a window are multiples of it
OVERLAP = 0.25  # fraction of a window shared with each neighbour
BAND = 256  # rows per step where a whole picture passes through floating point

Predict = Callable[[np.ndarray], np.ndarray]  # (B, 3, h, w) float32 in [0, 1] -> (B, ..., h, w)
Progress = Callable[[int], object]  # called with the number of windows just finished
Bands = Iterator[tuple[int, np.ndarray]]  # first row, (rows, W, C) float32


def no_progress(count: int) -> None:
    """Report nothing."""


def tile(
    image: np.ndarray,
    predict: Predict,
    window: int,
    batch_size: int,
    progress: Progress = no_progress,
) -> Bands:
    """Run `predict` over a picture in windows and yield the blended output from top to bottom.

    Neighbouring windows fade into each other over a ramp halfway between their borders. Where both
    agree, the result is exactly theirs. Only one row of windows is held, so memory depends on the
    width of the picture but not on its height.

    Args:
        image: (H, W, 3) uint8 or uint16, RGB; mirrored at its right and lower border up to the
            next multiple of 32.
        predict: see `Predict`; the axes between B and h become the C channels.
        window: side in pixels, a multiple of 32.
        batch_size: most windows per call of `predict`.
        progress: see `Progress`.
    """
    height, width = image.shape[:2]
    sides = [min(window, round_up(side)) for side in (height, width)]
    ramp = ramp_of(window)
    tops, lefts = (
        window_starts(n, side, ramp) for n, side in zip((height, width), sides, strict=True)
    )
    corners = ((top, left) for top in tops for left in lefts)

    def outputs() -> Iterator[np.ndarray]:  # (C, h, w) each
        while batch := list(islice(corners, batch_size)):
            found = predict(np.stack([_cut(image, corner, sides) for corner in batch]))
            progress(len(batch))
            yield from found.reshape(len(batch), -1, *sides)

    windows = outputs()
    strips = (_join_columns(list(islice(windows, len(lefts))), lefts, width, ramp) for _ in tops)
    yield from _join_rows(strips, tops, height, sides[0], ramp)


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


def _cut(image: np.ndarray, corner: tuple[int, int], sides: list[int]) -> np.ndarray:
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


def _join_columns(windows: list[np.ndarray], lefts: list[int], width: int, ramp: int) -> np.ndarray:
    """One row of windows (C, h, w) -> a strip (C, h, W)."""
    channels, height, side = windows[0].shape
    strip = np.empty((channels, height, lefts[-1] + side), np.float32)
    strip[:, :, :side] = windows[0]
    for (before, left), output in zip(pairwise(lefts), windows[1:], strict=True):
        start = ramp_start(left, before + side, ramp)
        end = start + ramp
        shared = strip[:, :, start:end]
        # One window plus a fraction of the difference is exact where both agree.
        shared += _fade(ramp) * (output[:, :, start - left : end - left] - shared)
        strip[:, :, end : left + side] = output[:, :, end - left :]
    return strip[:, :, :width]


def _join_rows(
    strips: Iterator[np.ndarray], tops: list[int], height: int, side: int, ramp: int
) -> Bands:
    """Strips (C, h, W) -> consecutive bands (rows, W, C)."""
    tail = None  # of the strip above, over the ramp
    begin = 0
    for index, (top, strip) in enumerate(zip(tops, strips, strict=True)):
        if tail is not None:
            head = strip[:, begin - top : begin - top + ramp]
            head[:] = tail + _fade(ramp)[:, None] * (head - tail)
        last = index + 1 == len(tops)
        end = height if last else ramp_start(tops[index + 1], top + side, ramp)
        yield begin, strip[:, begin - top : end - top].transpose(1, 2, 0)
        if not last:
            tail = strip[:, end - top : end - top + ramp].copy()
        begin = end


def run_resized(image: np.ndarray, predict: Predict, side: int) -> Bands:
    """Run `predict` on the whole picture resized to `side` x `side`; yield its output enlarged."""
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    output = predict(to_unit(small)[None]).reshape(-1, side, side).transpose(1, 2, 0)
    height, width = image.shape[:2]
    for rows in row_bands(height):
        yield rows.start, enlarge_rows(output, rows, height, width)


def enlarge_rows(small: np.ndarray, rows: slice, height: int, width: int) -> np.ndarray:
    """Rows of `small`, (h, w) or (h, w, C), resized bilinearly to (height, width)."""
    return _stretch(_stretch(small, 0, rows, height), 1, slice(0, width), width)


def _stretch(small: np.ndarray, axis: int, places: slice, size: int) -> np.ndarray:
    """Part of `small` with an axis resized bilinearly to `size`.

    Unlike in OpenCV, a value does not depend on the number of channels.
    """
    old = small.shape[axis]
    position = ((np.arange(places.start, places.stop) + 0.5) * old / size - 0.5).clip(0, old - 1)
    before = np.floor(position).astype(int)
    after = np.minimum(before + 1, old - 1)
    share = (position - before).astype(np.float32)
    share = share.reshape(-1, *[1] * (small.ndim - axis - 1))
    start = small.take(before, axis)
    return start + share * (small.take(after, axis) - start)


def row_bands(height: int) -> Iterator[slice]:
    """Slices that cut `height` rows into bands."""
    return (slice(top, min(top + BAND, height)) for top in range(0, height, BAND))
