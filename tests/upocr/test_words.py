"""Words: strokes of one word together, those of two apart."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from upocr.words import find_words

LINES = ("The quick brown fox jumps", "over Zoe, in May (or so);", "WORDS AT FIFTY-FIVE")


def page(size: float, lines=LINES, spaces: float = 1) -> tuple[np.ndarray, list]:
    """(H, W) uint8, 1 for ink, and the box of every word."""
    font = ImageFont.load_default(size)
    image = Image.new("L", (round(size * 22 * spaces), round(size * 1.4 * len(lines)) + 20))
    draw, boxes = ImageDraw.Draw(image), []
    for number, line in enumerate(lines):
        left = 8.0
        for word in line.split():
            alone = Image.new("L", image.size)
            place = round(left), 8 + round(1.4 * size * number)
            for canvas in (draw, ImageDraw.Draw(alone)):
                canvas.text(place, word, 255, font)
            boxes.append(alone.point(lambda value: 255 * (value > 100)).getbbox())
            left += font.getlength(word) + spaces * font.getlength(" ")
    return (np.array(image) > 100).astype(np.uint8), boxes


def boxes_of(text: np.ndarray, min_area: int = 0) -> list:
    return [region.box for region in find_words(text, text * 255, "text", min_area)]


@pytest.mark.parametrize("size", [24, 30, 60])
@pytest.mark.parametrize("spaces", [1, 1.7])
def test_words_in_reading_order(size, spaces):
    text, expected = page(size, spaces=spaces)
    assert boxes_of(text) == expected


@pytest.mark.parametrize("lines", [("one",), ("ill",), ("Illegible",), ("WAVY",)])
def test_a_line_of_one_word_is_not_parted(lines):
    text, expected = page(40, lines)
    assert boxes_of(text) == expected


def test_columns_are_not_joined():
    text, left = page(30)
    both = np.hstack([text, text])
    assert len(boxes_of(both)) == 2 * len(left)


def test_every_stroke_is_in_one_word():
    text, _ = page(24)
    score = np.random.default_rng(0).integers(0, 256, text.shape, np.uint8)
    words = find_words(text, score, "text", 0)
    assert sum(word.area for word in words) == text.sum()
    mean = np.average([word.score for word in words], weights=[word.area for word in words])
    assert mean == pytest.approx(score[text > 0].mean() / 255, abs=1e-4)
    assert {word.label for word in words} == {"text"}
    for word in words:
        inside = cv2.fillPoly(np.zeros_like(text), [np.array(word.polygon)], 1)
        left, top, right, bottom = word.box
        assert np.count_nonzero(text[top:bottom, left:right] & inside[top:bottom, left:right]) >= (
            word.area
        )


def test_lines_that_rise_a_little_keep_their_words():
    text, expected = page(30)
    height, width = text.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 3, 1)
    turned = cv2.warpAffine(text * 255, turn, (width, height)) > 127
    assert len(boxes_of(turned.astype(np.uint8))) == len(expected)


def test_nothing_and_specks():
    text = np.zeros((40, 50), np.uint8)
    assert boxes_of(text) == []
    text[5:8, 5:8] = 1
    text[20:30, 20:24] = 1
    assert boxes_of(text, 10) == [(20, 20, 24, 30)]


def test_a_comma_is_no_letter_that_tells_spaces():
    text = np.zeros((40, 60), np.uint8)
    text[5:30, 5:30] = text[24:33, 33:37] = 1
    assert boxes_of(text) == [(5, 5, 37, 33)]


def test_many_strokes_take_no_time_squared():
    """A halftone of 10,000 dots is one step per neighbour."""
    text = np.zeros((300, 300), np.uint8)
    text[::3, ::3] = 1
    words = find_words(text, text, "text", 0)
    assert sum(word.area for word in words) == 10_000
