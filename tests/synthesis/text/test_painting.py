"""Painting: letters and effects change their own pixels only."""

import numpy as np
import pytest

from synthesis.text.lettering import Style
from synthesis.text.painting import paint


def test_hollow_letters_show_the_surface():
    under = np.full((60, 80, 3), 200, dtype=np.uint8)
    coverage = np.zeros((60, 80), dtype=np.uint8)
    coverage[10:50, 20:60] = 255
    style = Style((9.0,) * 3, (9.0,) * 3, shading=0.0, texture=0.0, rim=3)
    picture, effects = paint(under, under, coverage, style)
    assert (picture[14:46, 24:56] == 200).all()
    assert (picture[10:12, 20:60] == 9).all()
    assert (picture[coverage == 0] == 200).all()
    assert not effects.any()
    filled, _ = paint(under, under, coverage, style.plain())
    assert (filled[coverage > 0] == 9).all()


def test_paint_leaves_everything_else_untouched():
    rng = np.random.default_rng(0)
    under = rng.integers(256, size=(60, 80, 3), dtype=np.uint8)
    coverage = np.zeros((60, 80), dtype=np.uint8)
    coverage[20:30, 20:50] = 255
    style = Style(
        (9.0,) * 3, (99.0,) * 3, outline=2, shadow=0.8, shadow_offset=(3, 3), shadow_blur=1
    )
    picture, effects = paint(under, under, coverage, style)
    untouched = (coverage == 0) & (effects == 0)
    assert (picture[untouched] == under[untouched]).all()
    assert (effects > 0).sum() > (coverage > 0).sum()


@pytest.mark.parametrize("engraving", [40.0, -40.0])
def test_engraved_letters_have_a_lit_and_a_dark_edge_only(engraving: float):
    under = np.full((60, 80, 3), 120, dtype=np.uint8)
    coverage = np.zeros((60, 80), dtype=np.uint8)
    coverage[10:50, 20:60] = 255
    style = Style((120.0,) * 3, (120.0,) * 3, opacity=0.0, engraving=engraving, engraving_width=2)
    picture, effects = paint(under, under, coverage, style)
    brightness = picture[..., 0].astype(int) - 120
    assert (brightness[16:44, 26:54] == 0).all()
    upper, lower = brightness[8:13, 30:50].sum(), brightness[47:52, 30:50].sum()
    assert np.sign(upper) == -np.sign(lower) == np.sign(engraving)
    assert (picture[(coverage == 0) & (effects == 0)] == 120).all()
