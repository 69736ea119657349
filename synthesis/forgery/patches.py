"""Patches: a forger's operations on pixels. Pictures are uint8 (h, w, 3) RGB."""

import cv2
import numpy as np
from numpy.random import Generator

from synthesis.photo.encoding import decode, encode_jpeg
from synthesis.sampling import coin, pick
from synthesis.scene.regions import Region

_INPAINTED_PIXELS = 9000  # at most; larger holes are filled at a reduced size


def inpainted(patch: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The hole, nonzero in uint8 (h, w), filled by diffusion from its edge."""
    # Large holes at a reduced size: inpainting is slow, and a forger's tool blurs in the same way.
    factor = min(1.0, (_INPAINTED_PIXELS / hole.size) ** 0.5)
    size = [max(4, round(side * factor)) for side in hole.shape[::-1]]
    small_hole = cv2.resize(hole, size, interpolation=cv2.INTER_NEAREST)
    filled = cv2.inpaint(cv2.resize(patch, size), small_hole, 3, cv2.INPAINT_TELEA)
    filled = cv2.resize(filled, hole.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.where(hole[..., None] > 0, filled, patch)


def bridged(patch: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The hole, nonzero in uint8 (h, w), filled with gradients between opposite edges."""
    left, top, width, height = cv2.boundingRect(hole)
    right, bottom = left + width, top + height
    smooth = cv2.blur(patch, (5, 5)).astype(np.float32)
    upper = smooth[max(0, top - 2), left:right]
    lower = smooth[min(len(patch) - 1, bottom + 1), left:right]
    before = smooth[top:bottom, max(0, left - 2), None]
    after = smooth[top:bottom, min(patch.shape[1] - 1, right + 1), None]
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    across = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
    vertical = (1 - down) * upper + down * lower
    horizontal = (1 - across) * before + across * after
    fill = np.clip((vertical + horizontal) / 2, 0, 255).astype(np.uint8)
    filled = patch.copy()
    area = filled[top:bottom, left:right]
    area[:] = np.where(hole[top:bottom, left:right, None] > 0, fill, area)
    return filled


def resampled(rng: Generator, patch: np.ndarray, scale: float, degrees: float) -> np.ndarray:
    """The patch, scaled and rotated about its centre."""
    height, width = patch.shape[:2]
    matrix: np.ndarray = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, scale)
    size = max(4, round(width * scale)), max(4, round(height * scale))
    matrix[:, 2] += (np.array(size) - (width, height)) / 2
    interpolation = pick(rng, (cv2.INTER_LINEAR, cv2.INTER_CUBIC))
    return cv2.warpAffine(patch, matrix, size, flags=interpolation, borderMode=cv2.BORDER_REPLICATE)


def retexture(rng: Generator, picture: np.ndarray, region: Region, height: float) -> None:
    """Render a word again from a copy of itself: the content stays, its fine structure does not.

    `region` is the word's and may extend beyond the picture, `height` that of its letters in
    pixels, by which kernels and the faded edge are scaled.
    """
    feather = max(1, round(height * rng.uniform(0.04, 0.2)))
    region = region.grown(feather + 1).clipped(len(picture))
    blend(picture, _rendered_again(rng, picture[region.window], height), region, feather)


def _rendered_again(rng: Generator, patch: np.ndarray, height: float) -> np.ndarray:
    kind = pick(rng, ("blurred", "deblocked", "reduced", "compressed"))
    if kind == "blurred":
        patch = cv2.GaussianBlur(patch, (0, 0), max(0.45, height * rng.uniform(0.012, 0.04)))
    elif kind == "deblocked":
        reach = max(1.0, 0.05 * height)
        patch = cv2.bilateralFilter(patch, 2 * round(reach) + 3, rng.uniform(12, 40), reach)
    elif kind == "reduced":
        factor = rng.uniform(1.2, 1.4 + height / 60)
        small = [max(4, round(side / factor)) for side in patch.shape[1::-1]]
        smaller = cv2.resize(patch, small, interpolation=cv2.INTER_AREA)
        method = pick(rng, (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4))
        patch = cv2.resize(smaller, patch.shape[1::-1], interpolation=method)
    else:  # on a grid of its own
        patch = decode(encode_jpeg(patch, int(rng.uniform(40, 85)), subsampling=coin(rng, 0.5)))
    if coin(rng, 0.3):  # grain that covers it up
        grain = rng.standard_normal(patch.shape[:2], dtype=np.float32) * rng.uniform(0.6, 4.0)
        patch = cv2.add(patch, cv2.merge([grain] * 3), dtype=cv2.CV_8U)
    return patch


def rim_colour(patch: np.ndarray) -> np.ndarray:
    """Median colour (3,) along the edge of a patch."""
    return np.median(np.concatenate([patch[0], patch[-1], patch[:, 0], patch[:, -1]]), axis=0)


def recoloured(patch: np.ndarray, picture: np.ndarray, share: float) -> np.ndarray:
    """The patch, its rim colour moved by a share of the way to that of the picture around it."""
    step = rim_colour(picture.astype(np.float32)) - rim_colour(patch.astype(np.float32))
    return np.clip(patch + step * share, 0, 255).astype(np.uint8)


def matte(patch: np.ndarray) -> np.ndarray:
    """Letters in contrast to the ground, 0-1 (h, w), as a selection by colour finds them."""
    distance = np.abs(patch.astype(np.float32) - rim_colour(patch)).max(axis=2)
    return np.clip((cv2.GaussianBlur(distance, (3, 3), 0) - 12) / 30, 0, 1)


def blend(picture: np.ndarray, patch: np.ndarray, region: Region, feather: int) -> None:
    """Put a patch into a region of the picture, with an edge that fades over `feather` pixels."""
    down, across = (
        np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)) / (feather + 1)
        for side in patch.shape[:2]
    )
    alpha = np.minimum(1, np.minimum.outer(down, across))[..., None].astype(np.float32)
    target = picture[region.window]
    blended = target + alpha * (patch.astype(np.float32) - target)
    target[:] = np.clip(blended + 0.5, 0, 255).astype(np.uint8)
