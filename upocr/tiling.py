"""Pictures of any size through a network: overlapping windows, blended smoothly."""

from collections.abc import Callable, Iterator
from itertools import islice, pairwise

import cv2
import numpy as np
import torch
from torch import Tensor

STRIDE = 32  # sides of a window are multiples of it
OVERLAP = 0.25  # of a window, shared with each neighbour
BAND = 256  # rows handled at once where a whole picture passes through floating point

Predict = Callable[[Tensor], Tensor]  # (B, 3, h, w) float32 in [0, 1] -> (B, C, h, w)
Bands = Iterator[tuple[int, np.ndarray]]  # first row, (rows, W, C) float32


def tile(
    image: np.ndarray,
    predict: Predict,
    window: int,
    batch_size: int,
    progress: Callable[[int], object] = lambda count: None,
) -> Bands:
    """Run `predict` over a picture in windows and yield the blended output from top to bottom.

    Neighbouring windows share a ramp of `OVERLAP` in which one fades into the other, halfway
    between their borders. Wherever both agree the result is exactly theirs. No more than one row
    of windows is held, so memory depends on the width of the picture but not on its height.

    Args:
        image: (H, W, 3) uint8 or uint16, RGB.
        predict: see `Predict`; called with at most `batch_size` windows.
        window: side in pixels, a multiple of 32. The picture is mirrored at its right and lower
            border up to the next multiple of 32.
        progress: called with the number of windows after each batch.
    """
    height, width = image.shape[:2]
    sides = [min(window, round_up(side)) for side in (height, width)]
    ramp = ramp_of(window)
    tops, lefts = (
        window_starts(n, side, ramp) for n, side in zip((height, width), sides, strict=True)
    )
    corners = ((top, left) for top in tops for left in lefts)
    outputs = _predict_windows(image, corners, sides, predict, batch_size, progress)
    strips = (_join_columns(list(islice(outputs, len(lefts))), lefts, width, ramp) for _ in tops)
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
    """First pixels of the fewest windows that cover `length` and overlap by `ramp` or more, evenly
    spread.

    They are multiples of 32, so that the network cuts every window into the same patches: else two
    windows differ where they overlap, whatever they see. The last may reach beyond `length` by 31.
    With a ramp of at most a third of a window, ramps never touch each other.
    """
    if length <= window:
        return [0]
    steps = (round_up(length) - window) // STRIDE
    gaps = -(-steps // ((window - ramp) // STRIDE))
    return [i * steps // gaps * STRIDE for i in range(gaps + 1)]


def _predict_windows(image, corners, sides, predict, batch_size, progress) -> Iterator[np.ndarray]:
    """Outputs of all windows, (C, h, w) float32 each, in the order of their corners."""
    while batch := list(islice(corners, batch_size)):
        outputs = predict(torch.stack([_cut(image, corner, sides) for corner in batch]))
        progress(len(batch))
        yield from outputs.float().cpu().numpy()


def _cut(image: np.ndarray, corner: tuple[int, int], sides: list[int]) -> Tensor:
    top, left = corner
    part = image[top : top + sides[0], left : left + sides[1]]
    missing = [(0, side - n) for side, n in zip(sides, part.shape[:2], strict=True)]
    # Unlike "reflect", "symmetric" also stretches a single pixel.
    return to_unit(np.pad(part, [*missing, (0, 0)], mode="symmetric"))


def to_unit(image: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 or uint16 -> (3, H, W) float32 in [0, 1]."""
    scaled = image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    return torch.from_numpy(scaled).permute(2, 0, 1).contiguous()


def ramp_start(start: int, previous_end: int, ramp: int) -> int:
    """Where a window begins to replace the one before it: halfway in what they share."""
    return start + (previous_end - start - ramp) // 2


def _fade(ramp: int) -> np.ndarray:
    """Weights of the new window over a ramp, from just above 0 to just below 1, in a soft S."""
    position = (np.arange(ramp, dtype=np.float32) + 0.5) / ramp
    return (1 - np.cos(np.pi * position)) / 2


def _join_columns(windows: list[np.ndarray], lefts: list[int], width: int, ramp: int):
    """One row of windows (C, h, w) -> a strip (C, h, W)."""
    channels, height, side = windows[0].shape
    strip = np.empty((channels, height, lefts[-1] + side), np.float32)
    strip[:, :, :side] = windows[0]
    for (before, left), output in zip(pairwise(lefts), windows[1:], strict=True):
        start = ramp_start(left, before + side, ramp)
        end = start + ramp
        shared = strip[:, :, start:end]
        # Adding a share of the difference, not two shares, is exact where both agree.
        shared += _fade(ramp) * (output[:, :, start - left : end - left] - shared)
        strip[:, :, end : left + side] = output[:, :, end - left :]
    return strip[:, :, :width]


def _join_rows(strips, tops: list[int], height: int, side: int, ramp: int) -> Bands:
    """Strips (C, h, W) -> bands (rows, W, C) that follow one another."""
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


def run_resized(image: np.ndarray, predict: Predict, size: tuple[int, int]) -> np.ndarray:
    """Run `predict` on the whole picture resized to (height, width); (height, width, C) float32."""
    small = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    return predict(to_unit(small)[None])[0].float().cpu().numpy().transpose(1, 2, 0)


def enlarge(small: np.ndarray, height: int, width: int) -> Bands:
    """Resize (h, w) or (h, w, C) float32 bilinearly to (height, width), in bands."""
    for top in range(0, height, BAND):
        yield top, enlarge_rows(small, top, min(BAND, height - top), height, width)


def enlarge_rows(small: np.ndarray, top: int, rows: int, height: int, width: int) -> np.ndarray:
    """Rows `top` to `top + rows` of `small` resized bilinearly to (height, width)."""
    return _stretch(_stretch(small, 0, top, rows, height), 1, 0, width, width)


def _stretch(small: np.ndarray, axis: int, first: int, count: int, size: int) -> np.ndarray:
    """Places `first` to `first + count` of an axis that is resized bilinearly to `size`.

    A value does not depend on how many channels there are, as it does in OpenCV.
    """
    old = small.shape[axis]
    position = ((np.arange(first, first + count) + 0.5) * old / size - 0.5).clip(0, old - 1)
    before = np.floor(position).astype(int)
    after = np.minimum(before + 1, old - 1)
    share = (position - before).astype(np.float32)
    share = share.reshape(-1, *[1] * (small.ndim - axis - 1))
    start = small.take(before, axis)
    return start + share * (small.take(after, axis) - start)


def row_bands(height: int) -> Iterator[slice]:
    """Slices that cut `height` rows into bands."""
    return (slice(top, min(top + BAND, height)) for top in range(0, height, BAND))
