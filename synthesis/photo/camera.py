"""The camera: light, defocus, motion, noise and JPEG, identical for all versions of a scene."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from scipy.special import ndtri

from synthesis.photo.encoding import decode, encode_jpeg
from synthesis.sampling import coin, log_uniform, pick

# The standard normal at 256 equally likely points, as 8-bit numbers: many times faster to draw and
# to blur than an exact one; only its tail is missing.
_NORMAL_MEAN, _NORMAL_DEVIATION = 128, 40
_QUANTILES = ndtri((np.arange(256) + 0.5) / 256)
_NORMAL = np.round(_NORMAL_MEAN + _NORMAL_DEVIATION * _QUANTILES).astype(np.uint8)
_STRIP = 32  # rows exposed at a time: fitting the processor's cache is twice as fast


@dataclass(frozen=True)
class Camera:
    """One exposure.

    Args:
        defocus: standard deviation of the blur in pixels.
        motion: length and angle (pixels, radians) of a camera movement; length 0 disables it.
        read_noise: standard deviation of the noise in the dark, grey levels.
        shot_noise: variance of the noise per grey level.
        grain: blur of the noise in pixels, as demosaicing leaves it; 0 disables it.
        light: relative brightness at the four corners, bilinear between them.
        quality: of the JPEG file, 1-100.
        subsampling: whether chroma is stored at half the resolution.
    """

    defocus: float
    motion: tuple[float, float]
    read_noise: float
    shot_noise: float
    grain: float
    light: tuple[float, ...]
    quality: int
    subsampling: bool

    def reach(self) -> int:
        """Range of the blur in pixels."""
        return int(np.ceil(self.motion[0] / 2)) + _gaussian_radius(self.defocus)


def draw_camera(rng: Generator, softness: float = 0.0) -> Camera:
    """A camera; `softness` is the blur of the background, which fresh letters must share."""
    defocus = rng.uniform(0.35, 0.8) if coin(rng, 0.75) else log_uniform(rng, 0.8, 2.2)
    defocus = max(defocus, min(0.6 * softness, 1.0))
    noisy = coin(rng, 0.3)
    return Camera(
        defocus=defocus,
        motion=(rng.uniform(3, 9), rng.uniform(0, np.pi)) if coin(rng, 0.1) else (0.0, 0.0),
        read_noise=log_uniform(rng, 1.5, 6.0) if noisy else log_uniform(rng, 0.4, 1.5),
        shot_noise=log_uniform(rng, 0.02, 0.12) if noisy else log_uniform(rng, 0.003, 0.02),
        grain=pick(rng, (0.0, 0.5, 0.8)),
        light=tuple(rng.uniform(0.72, 1.15, 4).tolist()) if coin(rng, 0.6) else (1.0,) * 4,
        quality=int(rng.uniform(45, 75)) if coin(rng, 0.2) else int(rng.uniform(75, 97)),
        subsampling=coin(rng, 0.75),
    )


def capture(rng: Generator, picture: np.ndarray, camera: Camera) -> np.ndarray:
    """A photograph of a picture, uint8 (H, W, 3), stored once as JPEG."""
    return through_jpeg(expose(rng, [blur(picture, camera)], camera)[0], camera)


def blur(picture: np.ndarray, camera: Camera) -> np.ndarray:
    """Effect of lens and movement on a picture or a coverage, uint8 (H, W[, C])."""
    if camera.motion[0]:
        kernel = _motion_kernel(*camera.motion)
        picture = cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REFLECT)
    side = 2 * _gaussian_radius(camera.defocus) + 1
    return cv2.GaussianBlur(picture, (side, side), camera.defocus, borderType=cv2.BORDER_REFLECT)


def _gaussian_radius(sigma: float) -> int:
    return max(1, int(np.ceil(2.5 * sigma)))


def _motion_kernel(length: float, angle: float) -> np.ndarray:
    side = int(np.ceil(length)) | 1
    kernel = np.zeros((side, side), dtype=np.float32)
    reach = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    for step in np.linspace(-1, 1, 4 * side):
        x, y = np.clip(np.round(reach * step + side // 2), 0, side - 1).astype(int)
        kernel[y, x] += 1
    return kernel / kernel.sum()


def expose(rng: Generator, pictures: Sequence[np.ndarray], camera: Camera) -> list[np.ndarray]:
    """Light and sensor noise on several versions of one scene, uint8 (H, W, 3) each.

    All share one light and one noise field, so equal pixels stay equal.
    """
    height, width = pictures[0].shape[:2]
    noise = cv2.LUT(rng.integers(256, size=(height, width, 3), dtype=np.uint8), _NORMAL)
    if camera.grain:
        noise = cv2.GaussianBlur(noise, (5, 5), camera.grain)
    levels = np.arange(256, dtype=np.float32)
    # Divided by the deviation that the blur has left.
    deviations = (levels - _NORMAL_MEAN) / np.float32(noise[::4, ::4].std())
    strength = np.sqrt(camera.read_noise**2 + camera.shot_noise * levels)
    corners = np.array(camera.light, np.float32).reshape(2, 2)
    light = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)
    exposed = [np.empty_like(picture) for picture in pictures]
    for top in range(0, height, _STRIP):
        rows = slice(top, top + _STRIP)
        lit, field = cv2.merge([light[rows]] * 3), cv2.LUT(noise[rows], deviations)
        for picture, result in zip(pictures, exposed, strict=True):
            grain = cv2.multiply(cv2.LUT(picture[rows], strength), field)
            signal = cv2.multiply(picture[rows], lit, dtype=cv2.CV_32F)
            result[rows] = cv2.add(signal, grain, dtype=cv2.CV_8U)  # rounds and saturates
    return exposed


def through_jpeg(picture: np.ndarray, camera: Camera) -> np.ndarray:
    """The picture after the camera has stored it once, uint8 RGB."""
    return decode(encode_jpeg(picture, camera.quality, camera.subsampling))
