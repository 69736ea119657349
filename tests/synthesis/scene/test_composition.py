"""Composition: options decide on the kinds of scenes."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from synthesis.samples import SampleSource, removal_sample
from synthesis.sampling import coin, generator
from synthesis.scene import composition
from synthesis.scene.composition import SceneOptions
from synthesis.scene.scene import Scene


@pytest.mark.slow
def test_words_run_around_round_signs_unless_upright(scene_of: Callable[..., Scene]):
    scenes = [scene_of(seed, SceneOptions(empty=0)) for seed in range(60)]
    words = [word for scene in scenes for word in scene.words]
    around = [word for word in words if abs(word.parent.warp.bend.amount) > 2.7]
    assert around
    for word in around:
        assert word.polygon.min() >= 0
        assert word.polygon.max() <= 256
    upright = [scene_of(seed, SceneOptions(upright=True, empty=0)) for seed in range(20)]
    assert {word.parent.warp.bend.kind for scene in upright for word in scene.words} == {"none"}


def test_scenes_without_text_occur(scene_of: Callable[..., Scene]):
    empty = [not scene_of(seed, SceneOptions(empty=0.5)).words for seed in range(6)]
    assert any(empty)
    assert not all(empty)


def test_a_share_of_0_draws_nothing(source: SampleSource, monkeypatch: pytest.MonkeyPatch):
    # So the bytes of a set without pages and distractors do not depend on these options.
    probabilities = []

    def watched(rng: np.random.Generator, probability: float) -> bool:
        probabilities.append(probability)
        return coin(rng, probability)

    monkeypatch.setattr(composition, "coin", watched)
    plain = removal_sample(generator(5), source)
    assert 0.0 not in probabilities[:1]
    probabilities.clear()
    removal_sample(generator(5), replace(source, pages=1e-9, distractors=1e-9))
    assert probabilities[:2] == [1e-9, 1e-9]  # each is drawn once, before all else
    pages = removal_sample(generator(5), replace(source, pages=1.0))
    assert (plain.image != pages.image).any()
