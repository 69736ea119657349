"""Tiling: exact for pointwise functions, smooth between windows, bounded in memory."""

import tracemalloc
from itertools import product

import numpy as np
import pytest
import torch

from upocr import tiling
from upocr.tiling import count_windows, cuts, enlarge, row_bands, tile, to_unit, window_starts

SIZES = [
    (1, 1), (1, 2), (3, 1), (7, 5), (31, 33), (32, 32), (33, 31), (63, 65), (64, 64), (65, 64),
    (97, 129), (128, 1), (1, 300), (111, 222), (257, 255), (300, 401), (513, 64), (640, 333),
    (1023, 17), (1500, 700),
]  # fmt: skip


def picture(height: int, width: int, dtype=np.uint8) -> np.ndarray:
    top = np.iinfo(dtype).max + 1
    return np.random.default_rng(height * width).integers(0, top, (height, width, 3), dtype)


def whole(image: np.ndarray, predict, window: int = 64, batch_size: int = 7) -> np.ndarray:
    """The blocks of `tile` put together; they must cover every pixel once."""
    output, times = None, np.zeros(image.shape[:2], int)
    for rows, columns, block in tile(image, predict, window, batch_size):
        if output is None:
            output = np.empty((*image.shape[:2], block.shape[2]), np.float32)
        output[rows, columns] = block
        times[rows, columns] += 1
    assert (times == 1).all()
    return output


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_pointwise_function_is_exact(height, width):
    image = picture(height, width)
    expected = image.astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(whole(image, lambda images: images), expected)
    curve = whole(image, lambda images: 1 - images * images)
    np.testing.assert_array_equal(curve, 1 - expected * expected)


def test_the_smallest_windows_stand_side_by_side():
    image = picture(70, 101)
    output = whole(image, lambda images: images, window=32)
    np.testing.assert_array_equal(output, image.astype(np.float32) / np.float32(255))
    assert count_windows(70, 101, 32) == 3 * 4


@pytest.mark.parametrize("patch", [4, 32])
@pytest.mark.parametrize(("height", "width"), [(150, 203), (64, 65), (333, 40)])
def test_patches_lie_the_same_in_every_window(height, width, patch):
    """So what a network makes of each of its patches does not depend on the tiling."""

    def mosaic(images):
        means = torch.nn.functional.avg_pool2d(torch.from_numpy(images), patch)
        return torch.nn.functional.interpolate(means, scale_factor=patch).numpy()

    image = picture(height, width)
    missing = [(0, -side % 32) for side in (height, width)]
    padded = to_unit(np.pad(image, [*missing, (0, 0)], mode="symmetric"))
    expected = mosaic(padded[None])[0].transpose(1, 2, 0)[:height, :width]
    np.testing.assert_allclose(whole(image, mosaic), expected, atol=1e-6)


def test_16_bits_are_exact():
    image = picture(70, 90, np.uint16)
    output = whole(image, lambda images: images)
    np.testing.assert_array_equal(np.rint(output * 65535).astype(np.uint16), image)


def test_no_seam_between_windows_that_disagree():
    """Every window answers with another grey: neighbouring pixels must still differ by little."""
    image, count = picture(200, 300), iter(range(1000))

    def stubborn(images):
        greys = np.array([next(count) % 2 for _ in images], np.float32)
        return np.broadcast_to(greys[:, None, None, None], images.shape)

    output = whole(image, stubborn)
    assert output.max() == 1
    assert output.min() == 0
    steepest = max(np.abs(np.diff(output, axis=axis)).max() for axis in (0, 1))
    assert steepest < 0.11  # pi / 2 over a ramp of 16 pixels


def test_batches_and_windows_have_the_promised_size():
    seen = []
    image = picture(100, 150)
    whole(image, lambda images: seen.append(images.shape) or images, 64, 4)
    assert all(shape[0] <= 4 and shape[1:] == (3, 64, 64) for shape in seen)
    assert sum(shape[0] for shape in seen) == count_windows(100, 150, 64)


def test_one_window_is_read_ahead():
    calls = []
    blocks = tile(picture(2000, 64), lambda images: calls.append(1) or images, 64, 1)
    next(blocks)
    assert len(calls) == 1


@pytest.mark.parametrize("shape", [(100, 1200), (1200, 100)])
def test_the_order_of_the_windows_makes_no_difference(shape, monkeypatch):
    image = picture(*shape)

    def uneven(images):  # overlapping windows disagree
        return (
            images
            * np.linspace(0.1, 1, 64, dtype=np.float32)
            * images.mean((2, 3))[..., None, None]
        )

    found = []
    for limit in (0, 1000):  # columns first, rows first
        monkeypatch.setattr(tiling, "VERY_WIDE", limit)
        found.append(whole(image, uneven))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("longer", ["height", "width"])
def test_memory_does_not_grow_with_the_longer_side(longer):
    def peak(length: int) -> int:
        shape = (length, 100, 3) if longer == "height" else (100, length, 3)
        image = np.zeros(shape, np.uint8)
        tracemalloc.start()
        for _ in tile(image, lambda images: np.repeat(images, 3, 1), 64, 2):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(32_000) < peak(1000) + 2**18  # the ramps of a side of 31,000 pixels: 2^24 bytes


@pytest.mark.parametrize("length", [65, 100, 112, 113, 500, 1001])
def test_windows_cover_and_ramps_never_touch(length):
    starts = window_starts(length, 64, 16)
    assert starts[0] == 0
    assert length - 64 <= starts[-1] < length - 32
    assert all(start % 32 == 0 for start in starts)
    steps = np.diff(starts)
    assert 0 < steps.min() <= steps.max() <= 48


@pytest.mark.parametrize(("length", "count"), [(512, 1), (513, 2), (896, 2), (897, 3), (1281, 4)])
def test_no_more_windows_than_needed(length, count):
    assert len(window_starts(length, 512, 128)) == count


def test_enlarge_agrees_with_torch():
    small = np.random.default_rng(0).random((9, 7, 3), np.float32)
    large = np.empty((600, 31, 3), np.float32)
    for rows, columns in product(cuts(600, 256), cuts(31, 10)):
        large[rows, columns] = enlarge(small, rows, columns, (600, 31))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(small).permute(2, 0, 1)[None], (600, 31), mode="bilinear"
    )
    np.testing.assert_allclose(large, expected[0].permute(1, 2, 0).numpy(), atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1000, 30), (3, 3_000_000), (700, 50_000)])
def test_bands_follow_one_another_and_are_no_larger_than_promised(height, width):
    bands = list(row_bands(height, width))
    assert [band.start for band in bands] == [0, *(band.stop for band in bands[:-1])]
    assert bands[-1].stop == height
    most = max(band.stop - band.start for band in bands)
    assert most == 1 or most * width <= tiling.BAND * tiling.BAND_WIDTH
