"""Printed pages, whose letters alone are text, and decoys, which are none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from font_files import write_font

from synthesis.photo.backgrounds import Background, draw_background, shipped_photographs
from synthesis.samples import Materials, Mix, removal_sample
from synthesis.sampling import coin, generator
from synthesis.scene import composition
from synthesis.scene.composition import Composer, Habits
from synthesis.scene.distractors import _KINDS, draw_decoy
from synthesis.scene.pages import through_paper
from synthesis.scene.scene import Scene
from synthesis.text.corpus import SCRIPTS
from synthesis.text.fonts import FontBook, load_faces

SEEDS = range(4)


def scene_of(seed: int, fonts: FontBook, size: int = 256, **habits: float) -> Scene:
    """A scene of `size` pixels."""
    rng = generator(seed)
    background = draw_background(rng, shipped_photographs(), size)
    return Composer(rng, background, fonts, Habits(**habits)).compose()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_page_is_dark_print_on_paper(fonts: FontBook, seed: int):
    scene = scene_of(seed, fonts, pages=1.0)
    ink = scene.ink > 200
    assert len(scene.words) > 3
    assert ink.any()
    # The photograph is gone but for the shapes of stains: paper is bright all over.
    assert scene.clean.mean() > 140
    assert scene.image[ink].mean() < scene.clean[ink].mean() - 20
    assert not (scene.effects > 0).any()


@pytest.mark.parametrize("seed", range(40))
def test_no_page_is_empty(fonts: FontBook, seed: int):
    # Letters that have to be large: columns drawn for their usual width are too wide.
    scene = scene_of(seed, fonts, size=128, pages=1.0, least_height=14)
    assert scene.words
    assert (scene.ink > 200).any()


@pytest.mark.parametrize("seed", range(4))
def test_a_font_without_any_word_prints_what_it_has(tmp_path: Path, seed: int):
    write_font(tmp_path / "few.ttf", SCRIPTS["chinese"].probes)
    fonts = FontBook(load_faces([tmp_path]))
    assert fonts.scripts == ["chinese"]
    scene = scene_of(seed, fonts, size=128, pages=1.0)
    assert [word.text for word in scene.words] == [SCRIPTS["chinese"].probes]
    assert (scene.ink > 200).any()
    assert not scene.is_free(scene.words[0].region())


@pytest.mark.parametrize("seed", SEEDS)
def test_print_of_the_other_side_is_no_text(seed: int):
    paper = np.full((64, 64, 3), 220, np.uint8)
    coverage = np.zeros((64, 64), np.uint8)
    coverage[20:30, 4:16] = 255
    shown = through_paper(generator(seed), paper, coverage)
    difference = 220 - shown.astype(int).mean(axis=2)
    assert difference[24, -10] > 3, "mirrored"
    assert difference.max() < 80, "fainter than ink"
    assert np.abs(difference[:, :32]).max() < 1, "nowhere else"


@pytest.mark.parametrize("kind", range(len(_KINDS)))
def test_every_decoy_leaves_some_strokes(kind: int):
    covered = []
    for seed in range(6):
        canvas = np.zeros((256, 256), np.uint8)
        _KINDS[kind](generator(seed, kind), canvas)
        covered.append((canvas > 127).mean())
    assert min(covered) > 0
    assert max(covered) < 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_a_decoy_stays_where_text_is_removed(seed: int):
    wall = Background(np.full((128, 128, 3), 90, np.uint8), "grey", 0.0)
    composer = Composer(generator(seed), wall, None, Habits())
    before = composer.scene.clean.copy()
    composer._add_decoy()
    assert (composer.scene.clean != before).any()
    assert (composer.scene.clean == composer.scene.image).all()
    assert not composer.scene.ink.any()
    assert not composer.scene.words


def test_decoys_of_a_seed_are_the_same():
    assert (draw_decoy(generator(3), 128) == draw_decoy(generator(3), 128)).all()


def test_without_shares_nothing_is_drawn_for_them(fonts: FontBook, monkeypatch):
    # So the bytes of a set made without the options do not depend on them being there.
    shares = []

    def watched(rng: np.random.Generator, probability: float) -> bool:
        shares.append(probability)
        return coin(rng, probability)

    monkeypatch.setattr(composition, "coin", watched)
    materials = Materials(shipped_photographs(), fonts, 256)
    plain = removal_sample(generator(5), materials)
    assert 0.0 not in shares[:1]
    shares.clear()
    removal_sample(generator(5), replace(materials, mix=Mix(pages=1e-9, decoys=1e-9)))
    assert shares[:2] == [1e-9, 1e-9]  # asked for, they are drawn once each, before all else
    pages = removal_sample(generator(5), replace(materials, mix=Mix(pages=1.0)))
    assert (plain.image != pages.image).any()
