"""The camera: equal pixels stay equal."""

import numpy as np
import pytest

from synthesis.photo.camera import draw_camera, expose


@pytest.mark.parametrize("seed", range(4))
def test_equal_pixels_are_equal_after_the_exposure(seed: int):
    rng = np.random.default_rng(seed)
    first = rng.integers(256, size=(70, 90, 3), dtype=np.uint8)
    second = first.copy()
    second[10:20, 30:40] = 0
    seen = expose(rng, [first, second], draw_camera(rng))
    equal = (first == second).all(axis=2)
    assert (seen[0][equal] == seen[1][equal]).all()
    assert (seen[0] != first).any()
