"""The parts of the generator: fonts, typesetting, geometry, camera, backgrounds."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from synthesis.photo.backgrounds import (
    draw_background,
    shipped_photographs,
    split_photographs,
    text_likeness,
)
from synthesis.photo.camera import draw_camera, encode_png, expose
from synthesis.sampling import generator
from synthesis.scene.geometry import Bend, Warp, along_circle
from synthesis.text.corpus import SCRIPTS, draw_words, similar_word
from synthesis.text.fonts import FontBook, covers, load_faces
from synthesis.text.lettering import Style, paint
from synthesis.text.typesetting import Line, Setting, typeset

BUILT_IN = ""


def test_missing_glyphs_are_seen():
    assert covers(BUILT_IN, "Open 24 h")
    assert not covers(BUILT_IN, "出口")


def test_a_font_is_only_drawn_for_scripts_that_it_writes(fonts: FontBook):
    rng = generator(0)
    for script in fonts.scripts:
        face = fonts.draw_face(rng, script)
        assert covers(face.path, SCRIPTS[script].probes)


def test_no_font_at_all_falls_back_to_pillows():
    assert [face.name for face in load_faces([])] == ["Pillow built-in"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_words_come_in_the_number_asked_for(script: str):
    rng = generator(1)
    for count in (1, 4):
        assert len(draw_words(rng, script, count)) == count


def test_one_word_may_be_a_single_capital():
    drawn = [draw_words(generator(seed), "latin", 1)[0] for seed in range(200)]
    single = [word for word in drawn if len(word) == 1 and not word.isdigit()]
    assert 5 < len(single) < 50
    assert all(word.isupper() for word in single)


def test_forged_strings_differ():
    rng = generator(2)
    for word in ("EXIT", "Museum", "$4.50", "2019"):
        assert similar_word(rng, word, "latin") != word


def test_word_boxes_hold_all_ink():
    lines = [Line(("Two", "words"), BUILT_IN), Line(("below",), BUILT_IN, 0.5)]
    block = typeset(lines, Setting(30, tracking=0.1))
    covered = np.zeros(block.coverage.shape, dtype=bool)
    for word in block.words:
        left, top, right, bottom = word.box
        assert block.coverage[top:bottom, left:right].any()
        covered[top:bottom, left:right] = True
    assert not block.coverage[~covered].any()
    assert [word.text for word in block.words] == ["Two", "words", "below"]


def test_vertical_text_is_higher_than_wide():
    block = typeset([Line(("WEST",), BUILT_IN)], Setting(30, vertical=True))
    assert block.coverage.shape[0] > 2 * block.coverage.shape[1]
    assert [word.text for word in block.words] == ["WEST"]


@pytest.mark.parametrize(
    "bend", [Bend(), Bend("arc", 1.5), Bend("arc", -1.0), Bend("wave", 0.3, 1.0)]
)
def test_warp_puts_a_canvas_point_where_it_says(bend: Bend):
    canvas = np.zeros((60, 300), dtype=np.uint8)
    canvas[20:31, 200:211] = 255
    warp = Warp(canvas.shape, bend, scale=1.0, angle=0.3, tilt=(0.2, 0.1), center=(256, 256))
    seen = warp.render(canvas, (0, 0, 512, 512))
    rows, columns = np.nonzero(seen > 127)
    expected = warp.forward(np.array([[205.0, 25.0]]))[0]
    assert np.abs([columns.mean(), rows.mean()] - expected).max() < 0.7


@pytest.mark.parametrize("bend", [Bend(), Bend("arc", 1.5), Bend("wave", 0.3, 1.0)])
def test_outline_encloses_what_is_drawn(bend: Bend):
    canvas = np.full((40, 200), 255, dtype=np.uint8)
    warp = Warp(canvas.shape, bend, scale=1.0, angle=-0.2, center=(150, 150))
    drawn = warp.render(canvas, (0, 0, 300, 300)) > 127
    inside = np.zeros((300, 300), dtype=np.uint8)
    cv2.fillPoly(inside, [np.round(warp.outline((0, 0, 200, 40), 24)).astype(np.int32)], 1)
    inside = cv2.dilate(inside, np.ones((3, 3), np.uint8))
    assert not (drawn & (inside == 0)).any()
    assert drawn.sum() > 0.95 * inside.sum() - 1000


@pytest.mark.parametrize("below", [False, True])
def test_words_stand_upright_on_their_circle(below: bool):
    canvas, scale, radius = (40, 500), 2.0, 90.0
    warp = along_circle(canvas, scale, 0.0, radius, below)
    middle = warp.forward(np.stack([np.linspace(0, 500, 11), np.full(11, 20.0)], axis=1))
    assert np.abs(np.linalg.norm(middle, axis=1) - radius).max() < 1e-6
    top, bottom = warp.forward(np.array([[250.0, 0.0], [250.0, 40.0]]))
    assert top[1] < bottom[1]
    assert (bottom[1] > 0) == below
    turned = along_circle(canvas, scale, 0.4, radius, below)
    assert np.abs(np.linalg.norm(turned.forward([[250.0, 20.0]])) - radius) < 1e-6


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


@pytest.mark.parametrize("seed", range(4))
def test_equal_pixels_are_equal_after_the_exposure(seed: int):
    rng = np.random.default_rng(seed)
    first = rng.integers(256, size=(70, 90, 3), dtype=np.uint8)
    second = first.copy()
    second[10:20, 30:40] = 0
    seen = expose(rng, [first, second], draw_camera(rng))
    equal = (first == second).all(axis=2)
    assert (seen[0][equal] == seen[1][equal]).all()
    assert (seen[0] != first).any()


def test_png_is_lossless():
    picture = np.random.default_rng(0).integers(256, size=(20, 30, 3), dtype=np.uint8)
    data = np.frombuffer(encode_png(picture), dtype=np.uint8)
    assert (cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1] == picture).all()


def test_splits_share_no_photograph():
    splits = split_photographs(shipped_photographs())
    assert splits["train"]
    assert splits["test"]
    assert not set(splits["train"]) & set(splits["test"])


def test_background_has_the_size_asked_for():
    for seed in range(4):
        background = draw_background(generator(seed), shipped_photographs(), 160)
        assert background.pixels.shape == (160, 160, 3)
        assert background.pixels.dtype == np.uint8


def test_writing_is_like_text_and_a_smooth_wall_is_not():
    page = Image.new("RGB", (200, 80), "white")
    ImageDraw.Draw(page).text((10, 20), "A line of text", "black", ImageFont.load_default(28))
    assert text_likeness(np.array(page)).mean() > 0.1
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[None], 80, axis=0)
    assert not text_likeness(cv2.merge([ramp] * 3)).any()
