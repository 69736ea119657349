"""Warps: canvas points land where the warp says."""

import cv2
import numpy as np
import pytest

from synthesis.scene.geometry import Bend, Warp, along_circle
from synthesis.scene.regions import Region


@pytest.mark.parametrize(
    "bend", [Bend(), Bend("arc", 1.5), Bend("arc", -1.0), Bend("wave", 0.3, 1.0)]
)
def test_a_canvas_point_lands_where_the_warp_says(bend: Bend):
    canvas = np.zeros((60, 300), dtype=np.uint8)
    canvas[20:31, 200:211] = 255
    warp = Warp(canvas.shape, bend, scale=1.0, angle=0.3, tilt=(0.2, 0.1), center=(256, 256))
    seen = warp.render(canvas, Region(0, 0, 512, 512))
    rows, columns = np.nonzero(seen > 127)
    expected = warp.forward(np.array([[205.0, 25.0]]))[0]
    assert np.abs([columns.mean(), rows.mean()] - expected).max() < 0.7


@pytest.mark.parametrize("bend", [Bend(), Bend("arc", 1.5), Bend("wave", 0.3, 1.0)])
def test_the_outline_encloses_all_that_is_drawn(bend: Bend):
    canvas = np.full((40, 200), 255, dtype=np.uint8)
    warp = Warp(canvas.shape, bend, scale=1.0, angle=-0.2, center=(150, 150))
    drawn = warp.render(canvas, Region(0, 0, 300, 300)) > 127
    inside = np.zeros((300, 300), dtype=np.uint8)
    cv2.fillPoly(inside, [np.round(warp.outline((0, 0, 200, 40), 24)).astype(np.int32)], 1)
    inside = cv2.dilate(inside, np.ones((3, 3), np.uint8))
    assert not (drawn & (inside == 0)).any()
    assert drawn.sum() > 0.95 * inside.sum() - 1000


@pytest.mark.parametrize("below", [False, True])
def test_words_stand_upright_on_their_circle(below: bool):
    canvas, scale, radius = (40, 500), 2.0, 90.0
    warp = along_circle(canvas, scale, 0.0, radius, below)
    middle = warp.forward(np.stack([np.linspace(0, 500, 11), np.full(11, 20.0)], axis=1))
    assert np.abs(np.linalg.norm(middle, axis=1) - radius).max() < 1e-6
    top, bottom = warp.forward(np.array([[250.0, 0.0], [250.0, 40.0]]))
    assert top[1] < bottom[1]
    assert (bottom[1] > 0) == below
    turned = along_circle(canvas, scale, 0.4, radius, below)
    assert np.abs(np.linalg.norm(turned.forward([[250.0, 20.0]])) - radius) < 1e-6
