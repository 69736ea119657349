"""Postprocess: denoising, sharpening and graphics, applied to text and background alike."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator

from synthesis.photo.camera import Camera
from synthesis.sampling import coin

_GRAPHIC_SHARE = 0.3
_WIDTH, _SPREAD = 5, 2.0  # pixels: of the denoising filter, standard deviation of its weights


@dataclass(frozen=True)
class Postprocess:
    """Processing of a whole picture by a phone, an editor or a designer.

    Args:
        graphic: not photographed, as a poster or a screenshot: no blur, light or noise.
        denoising: grey levels up to which differences between neighbours are smoothed; 0 disables.
        sharpening: weight of the added difference from a blurred copy; 0 disables.
        radius: standard deviation of that blur, in pixels.
    """

    graphic: bool = False
    denoising: float = 0.0
    sharpening: float = 0.0
    radius: float = 1.0

    def adapt(self, camera: Camera) -> Camera:
        """The camera, or for a graphic one that only stores it."""
        if not self.graphic:
            return camera
        camera = replace(camera, defocus=0.3, motion=(0.0, 0.0), light=(1.0,) * 4)
        return replace(camera, read_noise=0.0, shot_noise=0.0)

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) -> the same, denoised and sharpened."""
        if self.denoising:
            picture = cv2.bilateralFilter(picture, _WIDTH, self.denoising, _SPREAD)
        if self.sharpening:
            soft = cv2.GaussianBlur(picture, (0, 0), self.radius)
            picture = cv2.addWeighted(picture, 1 + self.sharpening, soft, -self.sharpening, 0)
        return picture


def draw_postprocess(rng: Generator) -> Postprocess:
    """A graphic, or a photograph that was denoised, sharpened or both."""
    if coin(rng, _GRAPHIC_SHARE):
        return Postprocess(graphic=True)
    denoised, sharpened = coin(rng, 0.75), coin(rng, 0.5)
    return Postprocess(
        denoising=rng.uniform(8, 30) if denoised or not sharpened else 0.0,
        sharpening=rng.uniform(0.3, 1.2) if sharpened else 0.0,
        radius=rng.uniform(0.7, 1.6),
    )
