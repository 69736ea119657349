"""Lettering: contrasts of all sizes."""

import numpy as np
import pytest

from synthesis.sampling import generator
from synthesis.text.lettering import draw_colour, draw_engraving, draw_neon, faint_colour, luma


@pytest.mark.parametrize("level", [10, 90, 240])
def test_contrasts_range_from_the_least_to_high_ones_and_most_are_clear(level: int):
    surface = np.full((8, 8, 3), level, np.uint8)
    contrasts = np.array(
        [abs(luma(draw_colour(generator(seed), surface, least=5)) - level) for seed in range(200)]
    )
    assert contrasts.min() > 4.5
    assert (contrasts < 15).mean() > 0.05
    assert (contrasts > 59).mean() > 0.6


def test_no_contrast_is_below_the_least_one():
    surface = np.full((8, 8, 3), 120, np.uint8)
    colours = [draw_colour(generator(seed), surface, least=90) for seed in range(100)]
    assert min(abs(luma(colour) - 120) for colour in colours) > 89


def test_faint_paint_is_fainter_than_any_other():
    surface = np.full((8, 8, 3), 120, np.uint8)
    faint = [abs(luma(faint_colour(generator(seed), surface)) - 120) for seed in range(50)]
    assert 1 < min(faint) <= max(faint) < 4


def test_engraved_letters_hardly_differ_from_the_surface_and_neon_does():
    surface = np.full((8, 8, 3), 60, np.uint8)
    for seed in range(20):
        engraved, neon = (
            draw_engraving(generator(seed), surface, 40),
            draw_neon(generator(seed), 40),
        )
        assert abs(luma(engraved.colour) - 60) * engraved.opacity < 20
        assert abs(engraved.engraving) >= 10
        assert luma(neon.colour) > luma(neon.outline_colour)
