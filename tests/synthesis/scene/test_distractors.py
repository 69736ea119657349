"""Distractors: strokes on the clean scene that are no text."""

import numpy as np
import pytest

from synthesis.photo.backgrounds import Background
from synthesis.sampling import generator
from synthesis.scene.composition import Composer, SceneOptions
from synthesis.scene.distractors import KINDS, draw_distractor
from synthesis.text.fonts import FontBook


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_every_distractor_leaves_some_strokes(kind: int):
    covered = []
    for seed in range(6):
        canvas = np.zeros((256, 256), np.uint8)
        KINDS[kind](generator(seed, kind), canvas)
        covered.append((canvas > 127).mean())
    assert min(covered) > 0
    assert max(covered) < 0.5


@pytest.mark.parametrize("seed", range(4))
def test_a_distractor_stays_where_text_is_removed(fonts: FontBook, seed: int):
    wall = Background(np.full((128, 128, 3), 90, np.uint8), "grey", 0.0)
    composer = Composer(generator(seed), wall, fonts, SceneOptions())
    before = composer.scene.clean.copy()
    composer.add_distractor()
    assert (composer.scene.clean != before).any()
    assert (composer.scene.clean == composer.scene.image).all()
    assert not composer.scene.ink.any()
    assert not composer.scene.words


def test_distractors_of_a_seed_are_the_same():
    assert (draw_distractor(generator(3), 128) == draw_distractor(generator(3), 128)).all()
