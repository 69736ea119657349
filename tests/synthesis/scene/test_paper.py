"""Paper: print of the other side shows through, mirrored."""

import numpy as np
import pytest

from synthesis.sampling import generator
from synthesis.scene.paper import ruled, through_paper


@pytest.mark.parametrize("seed", range(4))
def test_print_of_the_other_side_is_mirrored_and_faint(seed: int):
    paper = np.full((64, 64, 3), 220, np.uint8)
    coverage = np.zeros((64, 64), np.uint8)
    coverage[20:30, 4:16] = 255
    shown = through_paper(generator(seed), paper, coverage)
    difference = 220 - shown.astype(int).mean(axis=2)
    assert difference[24, -10] > 3, "mirrored"
    assert difference.max() < 80, "fainter than ink"
    assert np.abs(difference[:, :32]).max() < 1, "nowhere else"


@pytest.mark.parametrize("seed", range(4))
def test_ruled_paper_has_thin_lines(seed: int):
    paper = np.full((512, 512, 3), 220, np.uint8)
    lines = (ruled(generator(seed), paper) != paper).any(axis=2)
    assert 0.02 < lines.mean() < 0.6
