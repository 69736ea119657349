"""Developing: what phones, editors and designers make of a whole picture, text and ground alike."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from synthesis.photo.camera import Camera
from synthesis.sampling import between, coin

_GRAPHIC_SHARE = 0.3
_DENOISING = 5, 2.0  # pixels: width of the filter and standard deviation of its weights


@dataclass(frozen=True)
class Development:
    """How a picture was finished.

    Args:
        graphic: no camera has seen it: a poster, a screenshot, a drawing. No blur, light or noise.
        denoising: grey levels up to which differences between neighbours are smoothed, 0: none.
        sharpening: how much of the difference to a blurred copy is added, 0: none.
        radius: standard deviation of that blur, in pixels.
    """

    graphic: bool = False
    denoising: float = 0.0
    sharpening: float = 0.0
    radius: float = 1.0

    def adapted(self, camera: Camera) -> Camera:
        """The camera, or for a graphic one that only stores it."""
        if not self.graphic:
            return camera
        still = {"defocus": 0.3, "motion": (0.0, 0.0), "light": (1.0,) * 4}
        return replace(camera, **still, read_noise=0.0, shot_noise=0.0)

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Finish a picture, uint8 (H, W, 3) -> same."""
        if self.denoising:
            width, spread = _DENOISING
            picture = cv2.bilateralFilter(picture, width, self.denoising, spread)
        if self.sharpening:
            soft = cv2.GaussianBlur(picture, (0, 0), self.radius)
            picture = cv2.addWeighted(picture, 1 + self.sharpening, soft, -self.sharpening, 0)
        return picture


def draw_development(rng: np.random.Generator) -> Development:
    """A graphic, or a photograph that was denoised, sharpened or both."""
    if coin(rng, _GRAPHIC_SHARE):
        return Development(graphic=True)
    denoised, sharpened = coin(rng, 0.75), coin(rng, 0.5)
    return Development(
        denoising=between(rng, 8, 30) if denoised or not sharpened else 0.0,
        sharpening=between(rng, 0.3, 1.2) if sharpened else 0.0,
        radius=between(rng, 0.7, 1.6),
    )
