"""Typesetting: boxes hold the ink of their words."""

import numpy as np
import pytest

from synthesis.sampling import generator
from synthesis.text.fonts import BUILT_IN
from synthesis.text.typesetting import Line, Setting, TextLayout, stencilled


def test_word_boxes_hold_all_ink():
    lines = [Line(("Two", "words"), BUILT_IN), Line(("below",), BUILT_IN, 0.5)]
    for pad in (0, 7):
        block = TextLayout(lines, Setting(30, tracking=0.1)).render(pad)
        covered = np.zeros(block.coverage.shape, dtype=bool)
        for word in block.words:
            left, top, right, bottom = word.box
            assert block.coverage[top:bottom, left:right].any()
            covered[top:bottom, left:right] = True
        assert not block.coverage[~covered].any()
        assert [word.text for word in block.words] == ["Two", "words", "below"]


def test_vertical_text_is_taller_than_wide():
    block = TextLayout([Line(("WEST",), BUILT_IN)], Setting(30, vertical=True)).render()
    assert block.coverage.shape[0] > 2 * block.coverage.shape[1]
    assert [word.text for word in block.words] == ["WEST"]


@pytest.mark.parametrize("seed", range(6))
def test_a_stencil_cuts_bridges_and_leaves_every_word(seed: int):
    block = TextLayout([Line(("Two", "I"), BUILT_IN)], Setting(60)).render()
    cut = stencilled(generator(seed), block)
    assert (cut.coverage <= block.coverage).all()
    assert 0.6 < (cut.coverage > 0).sum() / (block.coverage > 0).sum() < 1
    for left, top, right, bottom in (word.box for word in cut.words):
        assert cut.coverage[top:bottom, left:right].any()
