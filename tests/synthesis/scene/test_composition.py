"""Composition: options decide on the kinds of scenes."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from synthesis.photo.backgrounds import Background
from synthesis.samples import SampleSource, removal_sample
from synthesis.sampling import coin, generator
from synthesis.scene import composition
from synthesis.scene.composition import Composer, SceneOptions
from synthesis.scene.fitting import WarpedText
from synthesis.scene.geometry import UNBENT, Warp
from synthesis.scene.scene import Scene
from synthesis.text.fonts import FontBook
from synthesis.text.typesetting import TextBlock


@pytest.mark.slow
def test_words_run_around_round_signs_unless_upright(scene_of: Callable[..., Scene]):
    scenes = [scene_of(seed, SceneOptions()) for seed in range(60)]
    words = [word for scene in scenes for word in scene.words]
    around = [word for word in words if abs(word.parent.warp.bend.amount) > 2.7]
    assert around
    for word in around:
        assert word.polygon.min() >= 0
        assert word.polygon.max() <= 256
    upright = [scene_of(seed, SceneOptions(upright=True)) for seed in range(20)]
    assert {word.parent.warp.bend.kind for scene in upright for word in scene.words} == {"none"}


@pytest.mark.parametrize("seed", range(4))
def test_a_scene_without_text_is_no_page_and_equal_with_and_without(
    scene_of: Callable[..., Scene], seed: int
):
    scene = scene_of(seed, SceneOptions(text_free=True, pages=1.0, distractors=1.0))
    assert not scene.words
    assert not scene.ink.any()
    assert (scene.image == scene.clean).all()


def test_text_stands_on_calm_and_on_rough_ground(fonts: FontBook):
    rough = 0
    for seed in range(60):
        rng = generator(seed)
        wall = np.full((256, 256, 3), 128, np.uint8)
        wall[:, 128:] = rng.integers(256, size=(256, 128, 1), dtype=np.uint8)
        composer = Composer(rng, Background(wall, "half", 0.0), fonts, SceneOptions())
        warp = Warp((16, 48), UNBENT, 1.0)
        text = composer.place(WarpedText(TextBlock(np.zeros((16, 48)), (), 1.0), warp, "", 16), 2)
        assert text
        rough += text.warp.center[0] > 128
    assert 8 <= rough <= 25  # half of those at any place, which is a half of all


def test_a_share_of_0_draws_nothing(source: SampleSource, monkeypatch: pytest.MonkeyPatch):
    # So the bytes of a set without pages and distractors do not depend on these options.
    probabilities = []

    def watched(rng: np.random.Generator, probability: float) -> bool:
        probabilities.append(probability)
        return coin(rng, probability)

    monkeypatch.setattr(composition, "coin", watched)
    source = replace(source, text_free=0.0)
    plain = removal_sample(generator(5), source)
    assert 0.0 not in probabilities[:1]
    probabilities.clear()
    removal_sample(generator(5), replace(source, pages=1e-9, distractors=1e-9))
    assert probabilities[:2] == [1e-9, 1e-9]  # each is drawn once, before all else
    pages = removal_sample(generator(5), replace(source, pages=1.0))
    assert (plain.image != pages.image).any()


def test_letters_fill_much_of_some_pictures(fonts: FontBook):
    heights = []
    for seed in range(60):
        wall = Background(np.full((256, 256, 3), 150, np.uint8), "wall", 0.0)
        scene = Composer(generator(seed), wall, fonts, SceneOptions()).compose()
        heights += [word.height for word in scene.words]
    assert 0.3 * 256 < max(heights) < 0.8 * 256
