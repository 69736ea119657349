"""Retouching: what a forger's program does to pixels. Pictures are uint8 (h, w, 3) RGB."""

import cv2
import numpy as np

from synthesis.sampling import pick
from synthesis.scene.scene import Region, slices

_INPAINTED_PIXELS = 9000  # at most; larger holes are filled at a reduced size


def inpainted(patch: np.ndarray, hole: np.ndarray) -> np.ndarray:
    # At a reduced size for large words: inpainting is slow there, and a forger's tool blurs in the
    # same way.
    factor = min(1.0, (_INPAINTED_PIXELS / hole.size) ** 0.5)
    size = [max(4, round(side * factor)) for side in hole.shape[::-1]]
    small, small_hole = (
        cv2.resize(patch, size),
        cv2.resize(hole, size, interpolation=cv2.INTER_NEAREST),
    )
    filled = cv2.inpaint(small, small_hole, 3, cv2.INPAINT_TELEA)
    filled = cv2.resize(filled, hole.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.where(hole[..., None] > 0, filled, patch)


def bridged(patch: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The hole filled with colours that run from each edge to the opposite one."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    smooth = cv2.blur(patch, (5, 5)).astype(np.float32)
    upper, lower = (
        smooth[max(0, top - 2), left:right],
        smooth[min(len(patch) - 1, bottom + 1), left:right],
    )
    before, after = (
        smooth[top:bottom, max(0, left - 2)],
        smooth[top:bottom, min(patch.shape[1] - 1, right + 1)],
    )
    down = np.linspace(0, 1, bottom - top, dtype=np.float32)[:, None, None]
    across = np.linspace(0, 1, right - left, dtype=np.float32)[None, :, None]
    vertical = (1 - down) * upper + down * lower
    horizontal = (1 - across) * before[:, None] + across * after[:, None]
    filled = patch.copy()
    area = filled[top:bottom, left:right]
    fill = np.clip((vertical + horizontal) / 2, 0, 255).astype(np.uint8)
    area[:] = np.where(hole[top:bottom, left:right, None] > 0, fill, area)
    return filled


def resampled(
    rng: np.random.Generator, patch: np.ndarray, scale: float, degrees: float
) -> np.ndarray:
    height, width = patch.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, scale)
    size = max(4, round(width * scale)), max(4, round(height * scale))
    matrix[:, 2] += (np.array(size) - (width, height)) / 2
    way = pick(rng, (cv2.INTER_LINEAR, cv2.INTER_CUBIC))
    return cv2.warpAffine(patch, matrix, size, flags=way, borderMode=cv2.BORDER_REPLICATE)


def rim_colour(patch: np.ndarray) -> np.ndarray:
    return np.median(np.concatenate([patch[0], patch[-1], patch[:, 0], patch[:, -1]]), axis=0)


def matte(patch: np.ndarray) -> np.ndarray:
    """How far each pixel is letter and not ground, 0-1, as a selection by colour gives it."""
    distance = np.abs(patch.astype(np.float32) - rim_colour(patch)).max(axis=2)
    distance = cv2.GaussianBlur(distance, (3, 3), 0)
    return np.clip((distance - 12) / 30, 0, 1)


def blend(picture: np.ndarray, patch: np.ndarray, region: Region, feather: int) -> None:
    """Put the patch into the region, with an edge that fades over `feather` pixels."""
    height, width = patch.shape[:2]
    rise = [
        np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)) / (feather + 1)
        for side in (height, width)
    ]
    alpha = np.minimum(1, np.minimum(rise[0][:, None], rise[1][None]))[..., None].astype(np.float32)
    target = picture[slices(region)]
    target[:] = np.clip(target + alpha * (patch.astype(np.float32) - target) + 0.5, 0, 255).astype(
        np.uint8
    )
