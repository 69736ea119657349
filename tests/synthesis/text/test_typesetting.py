"""Typesetting: boxes hold the ink of their words."""

import numpy as np

from synthesis.text.fonts import BUILT_IN
from synthesis.text.typesetting import Line, Setting, TextLayout


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
