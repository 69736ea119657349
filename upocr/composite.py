"""Which pixels text removal may replace, and putting them into the picture."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from upocr.picture import MAX_PIXELS, Picture, from_rgb, read_pages
from upocr.tiling import row_bands

COMPOSITES = ("segmentation", "difference")  # what marks a pixel as changed
DIFFERENCE = 16 / 255  # smallest change of a channel that counts as intended
# Reach of the change mask around text and of its soft edge, in pixels. The edge is narrower, so
# that text itself is replaced entirely.
DILATION, FEATHER = 5, 3
MAX_DILATION = 100  # the time of a dilation grows with its square; the server permits less

RegionLike = np.ndarray | tuple[int, int, int, int]  # (H, W) mask, or x1, y1, x2, y2 (exclusive)


def change_mask(
    changed: np.ndarray, allowed: np.ndarray | None, dilation: int = DILATION
) -> np.ndarray:
    """Weights of new pixels: 255 on changed ones, soft around them, 0 outside of `allowed`.

    All arrays are (H, W) uint8; nonzero pixels of `allowed` are, None allows all.
    `dilation`: reach of the mask around changed pixels, in pixels.
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * dilation + 1,) * 2)
    mask = cv2.blur(cv2.dilate(changed, kernel), (FEATHER, FEATHER))
    if allowed is not None:
        mask[allowed == 0] = 0
    return mask


def difference(rgb: np.ndarray, painted: np.ndarray) -> np.ndarray:
    """(H, W) uint8, 255 where two pictures differ by more than `DIFFERENCE`, without single pixels.

    rgb, painted: (H, W, 3), both uint8 or both uint16.
    """
    changed = np.empty(rgb.shape[:2], np.uint8)
    limit = DIFFERENCE * np.iinfo(rgb.dtype).max
    for rows in row_bands(*rgb.shape[:2]):
        distance = np.abs(rgb[rows].astype(np.float32) - painted[rows]).max(axis=2)
        changed[rows] = np.where(distance > limit, 255, 0)
    return cv2.morphologyEx(changed, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))


def blend(picture: Picture, painted: np.ndarray, weight: np.ndarray) -> Picture:
    """Put `painted` over the picture; where `weight` is 0 every value stays the same.

    painted: (H, W, 3) RGB in the depth of the picture; weight: (H, W) uint8, 255 for all new.
    """
    values = np.empty_like(picture.values)
    for rows in row_bands(*picture.size):
        old = picture.values[rows].astype(np.float32)
        new = from_rgb(picture, painted[rows])
        share = weight[rows].astype(np.float32) / 255
        share = share if old.ndim == 2 else share[:, :, None]
        values[rows] = np.rint(old + share * (new - old))
    if picture.bilevel:
        values = np.where(values < 128, 0, 255).astype(np.uint8)
    return replace(picture, values=values)


def region_mask(region: RegionLike, size: tuple[int, int]) -> np.ndarray:
    """Mask (H, W) uint8 of a region; ValueError if it does not fit (height, width)."""
    height, width = size
    if isinstance(region, np.ndarray):
        if region.shape != size:
            shown = " x ".join(str(n) for n in region.shape[1::-1])
            raise ValueError(f"the region mask is {shown}, the image {width} x {height}")
        return region
    left, top, right, bottom = region
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        box = ",".join(str(n) for n in region)
        raise ValueError(f"region {box} is not inside the image of {width} x {height}")
    mask = np.zeros(size, np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


def parse_region(text: str, max_pixels: int = MAX_PIXELS) -> RegionLike:
    """`x1,y1,x2,y2` -> a box; the path of a mask image -> (H, W) uint8.

    The region of a mask is its bright (at least 128) and opaque pixels. Raises ValueError.
    """
    numbers = text.split(",")
    if len(numbers) > 1 and not Path(text).exists():
        try:
            left, top, right, bottom = map(int, numbers)
        except ValueError:
            raise ValueError(
                f"--region {text}: expected x1,y1,x2,y2 (four whole numbers) or a mask image"
            ) from None
        return left, top, right, bottom
    return chosen_pixels(next(read_pages(text, max_pixels)))


def chosen_pixels(picture: Picture) -> np.ndarray:
    """The bright (at least 128) and opaque pixels of a mask image as 255, (H, W) uint8."""
    rgb = picture.rgb()
    half = np.iinfo(rgb.dtype).max // 2
    chosen = rgb.max(axis=2) > half
    if picture.alpha is not None:
        chosen &= picture.alpha > half
    return np.where(chosen, 255, 0).astype(np.uint8)
