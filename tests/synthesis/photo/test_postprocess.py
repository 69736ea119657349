"""Postprocess: denoising, sharpening, and graphics without a camera."""

import cv2
import numpy as np

from synthesis.photo.camera import draw_camera, expose
from synthesis.photo.postprocess import Postprocess
from synthesis.sampling import generator


def test_postprocess_smooths_noise_and_sharpens_edges():
    rng = generator(0)
    noise = (128 + 4 * rng.standard_normal((64, 64, 3))).astype(np.uint8)
    assert Postprocess(denoising=20).apply(noise).std() < 0.5 * noise.std()
    edge = np.full((64, 64, 3), 60, np.uint8)
    edge[:, 32:] = 180
    edge = cv2.GaussianBlur(edge, (0, 0), 1.5)
    steps = [
        np.diff(picture[32, :, 0].astype(int)).max()
        for picture in (edge, Postprocess(sharpening=1.0, radius=1.5).apply(edge))
    ]
    assert steps[1] > 1.3 * steps[0]


def test_a_graphic_has_no_noise():
    camera = Postprocess(graphic=True).adapt(draw_camera(generator(0)))
    flat = np.full((32, 32, 3), 90, np.uint8)
    assert (expose(generator(1), [flat], camera)[0] == flat).all()
