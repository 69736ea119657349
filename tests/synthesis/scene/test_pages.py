"""Printed pages: their letters alone are text, and no page is empty."""

from collections.abc import Callable
from pathlib import Path

import pytest
from font_files import write_font

from synthesis.photo.backgrounds import draw_background, shipped_photographs
from synthesis.sampling import generator
from synthesis.scene.composition import SceneOptions
from synthesis.scene.pages import print_page
from synthesis.scene.scene import Scene
from synthesis.text.fonts import FontBook, load_faces
from synthesis.text.scripts import SCRIPTS


def small_page(seed: int, fonts: FontBook, min_height: float = 8) -> Scene:
    """A page of 128 pixels."""
    rng = generator(seed)
    photograph = Scene(draw_background(rng, shipped_photographs(), 128))
    return print_page(rng, fonts, photograph, min_height)


@pytest.mark.parametrize("seed", range(4))
def test_a_page_is_dark_print_on_paper(scene_of: Callable[..., Scene], seed: int):
    scene = scene_of(seed, SceneOptions(pages=1.0))
    ink = scene.ink > 200
    assert len(scene.words) > 3
    assert ink.any()
    # Of the photograph only the shapes of stains are left: paper is bright all over.
    assert scene.clean.mean() > 140
    assert scene.image[ink].mean() < scene.clean[ink].mean() - 20
    assert not (scene.effects > 0).any()


@pytest.mark.parametrize("seed", range(40))
def test_no_page_is_empty(fonts: FontBook, seed: int):
    # The letters must be large: columns drawn for their usual width are too wide.
    scene = small_page(seed, fonts, min_height=14)
    assert scene.words
    assert (scene.ink > 200).any()


@pytest.mark.parametrize("seed", range(4))
def test_a_font_without_any_word_prints_what_it_has(tmp_path: Path, seed: int):
    write_font(tmp_path / "few.ttf", SCRIPTS["chinese"].probes)
    fonts = FontBook(load_faces([tmp_path]))
    assert fonts.scripts == ["chinese"]
    scene = small_page(seed, fonts)
    assert [word.text for word in scene.words] == [SCRIPTS["chinese"].probes]
    assert (scene.ink > 200).any()
    assert not scene.is_free(scene.words[0].region())
