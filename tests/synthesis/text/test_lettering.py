"""Lettering: contrasts of all sizes."""

import numpy as np
import pytest

from synthesis.sampling import generator
from synthesis.text.lettering import draw_colour, faint_colour, luma


@pytest.mark.parametrize("level", [10, 90, 240])
def test_contrasts_range_from_the_least_to_high_ones(level: int):
    surface = np.full((8, 8, 3), level, np.uint8)
    contrasts = np.array(
        [abs(luma(draw_colour(generator(seed), surface, least=5)) - level) for seed in range(200)]
    )
    assert contrasts.min() > 4.5
    assert (contrasts < 15).mean() > 0.15
    assert (contrasts > 65).mean() > 0.15


def test_faint_paint_is_fainter_than_any_other():
    surface = np.full((8, 8, 3), 120, np.uint8)
    faint = [abs(luma(faint_colour(generator(seed), surface)) - 120) for seed in range(50)]
    assert 1 < min(faint) <= max(faint) < 4
