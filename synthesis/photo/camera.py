"""The camera: light, defocus, motion, noise and JPEG, the same for every version of a scene."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import cv2
import numpy as np

from synthesis.sampling import between, coin, log_between, pick

# The standard normal at 256 equally likely places, as 8-bit numbers: many times as fast to draw and
# to blur as an exact one, and no one looks at the tail.
_NORMAL_MEAN, _NORMAL_DEVIATION = 128, 40
_NORMAL = np.uint8(
    [
        round(_NORMAL_MEAN + _NORMAL_DEVIATION * NormalDist().inv_cdf((place + 0.5) / 256))
        for place in range(256)
    ]
)

# Photographs with noise hardly compress: no search for repetitions makes the file smaller, and
# faster to write.
_FAST_PNG = [
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY),
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
]
_STRIP = 32  # rows that are exposed at a time: what fits the processor's cache is twice as fast


@dataclass(frozen=True)
class Camera:
    """One exposure.

    Args:
        defocus: standard deviation of the blur in pixels.
        motion: length and angle (pixels, radians) of a camera movement, length 0 is none.
        read_noise: standard deviation of the noise in the dark, grey levels.
        shot_noise: variance of the noise per grey level.
        grain: blur of the noise in pixels, as demosaicing leaves it; 0 is none.
        light: brightness at the four corners relative to the middle of the range, bilinear between
            them.
        quality: of the JPEG file, 1-100.
        subsampling: whether colour is stored at half the resolution.
    """

    defocus: float
    motion: tuple[float, float]
    read_noise: float
    shot_noise: float
    grain: float
    light: tuple[float, float, float, float]
    quality: int
    subsampling: bool

    def reach(self) -> int:
        """Pixels that the blur carries light to."""
        return int(np.ceil(self.motion[0] / 2)) + _gaussian_radius(self.defocus)


def draw_camera(rng: np.random.Generator, softness: float = 0.0) -> Camera:
    """A camera; `softness` is the blur of the background, which fresh letters must not lack."""
    defocus = between(rng, 0.35, 0.8) if coin(rng, 0.75) else log_between(rng, 0.8, 2.2)
    defocus = max(defocus, min(0.6 * softness, 1.0))
    noisy = coin(rng, 0.3)
    return Camera(
        defocus=defocus,
        motion=(between(rng, 3, 9), between(rng, 0, np.pi)) if coin(rng, 0.1) else (0.0, 0.0),
        read_noise=log_between(rng, 1.5, 6.0) if noisy else log_between(rng, 0.4, 1.5),
        shot_noise=log_between(rng, 0.02, 0.12) if noisy else log_between(rng, 0.003, 0.02),
        grain=pick(rng, (0.0, 0.5, 0.8)),
        light=tuple(between(rng, 0.72, 1.15) for _ in range(4)) if coin(rng, 0.6) else (1.0,) * 4,
        quality=int(between(rng, 45, 75)) if coin(rng, 0.2) else int(between(rng, 75, 97)),
        subsampling=coin(rng, 0.75),
    )


def blur(picture: np.ndarray, camera: Camera) -> np.ndarray:
    """What the lens and the movement do to a picture or a coverage, uint8 (H, W[, C])."""
    if camera.motion[0]:
        picture = cv2.filter2D(
            picture, -1, _motion_kernel(*camera.motion), borderType=cv2.BORDER_REFLECT
        )
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


def expose(
    rng: np.random.Generator, pictures: Sequence[np.ndarray], camera: Camera
) -> list[np.ndarray]:
    """Light and sensor noise on several versions of one scene, uint8 (H, W, 3) each.

    All see the same light and the same noise field: pixels that are equal before are equal after.
    """
    height, width = pictures[0].shape[:2]
    noise = cv2.LUT(rng.integers(256, size=(height, width, 3), dtype=np.uint8), _NORMAL)
    if camera.grain:
        noise = cv2.GaussianBlur(noise, (5, 5), camera.grain)
    # Blurring has averaged some of the noise away.
    levels = np.arange(256, dtype=np.float32)
    deviations = (levels - _NORMAL_MEAN) / np.float32(noise[::4, ::4].std())
    strength = np.sqrt(camera.read_noise**2 + camera.shot_noise * levels)
    corners = np.float32(camera.light).reshape(2, 2)
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


def encode_jpeg(picture: np.ndarray, quality: int, subsampling: bool) -> bytes:
    """JPEG file of an RGB picture, uint8 (H, W, 3)."""
    factor = (
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
        if subsampling
        else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    )
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def encode_png(picture: np.ndarray) -> bytes:
    """PNG file of a uint8 picture, (H, W, 3) RGB photograph or (H, W) mask."""
    if picture.ndim == 2:
        return cv2.imencode(".png", picture)[1].tobytes()
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _FAST_PNG)[1].tobytes()


def through_jpeg(picture: np.ndarray, camera: Camera) -> np.ndarray:
    """The picture as it is after being stored once by the camera, uint8 RGB."""
    data = np.frombuffer(encode_jpeg(picture, camera.quality, camera.subsampling), dtype=np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
