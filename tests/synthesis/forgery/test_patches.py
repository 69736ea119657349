"""Patches: a word rendered again keeps its content."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from synthesis.forgery.patches import retexture
from synthesis.sampling import generator
from synthesis.scene.regions import Region


@pytest.mark.parametrize("seed", range(8))
def test_a_word_rendered_again_keeps_its_content_and_its_surroundings(seed: int):
    page = Image.new("RGB", (200, 80), "white")
    ImageDraw.Draw(page).text((40, 20), "TOTAL", "black", ImageFont.load_default(32))
    rng, word = generator(seed), Region(40, 20, 150, 56)
    noise = 5 * np.random.default_rng(seed).standard_normal((80, 200, 3))
    before = np.clip(np.array(page) * 0.8 + noise, 0, 255).astype(np.uint8)
    after = before.copy()
    retexture(rng, after, word, height=24)
    changed = (before != after).any(axis=2)
    assert changed[word.window].any()
    changed[word.grown(6).window] = False
    assert not changed.any()
    # Seen from a distance, it is the same word.
    pair = [cv2.blur(each[word.window], (9, 9)).astype(int) for each in (before, after)]
    assert np.abs(pair[0] - pair[1]).max() < 25
