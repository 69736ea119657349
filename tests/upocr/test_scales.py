"""Scales: which text is large, and which sizes are looked at."""

import numpy as np

from upocr.scales import half_sizes, large_text


def found(text: np.ndarray, probability: float = 1.0) -> np.ndarray | None:
    return large_text(text, text * np.float32(probability), 512)


def test_halves_go_down_to_a_quarter_of_a_window():
    assert list(half_sizes((1000, 300), 512)) == [(500, 150), (250, 75), (125, 38)]
    assert list(half_sizes((100, 128), 512)) == []


def test_no_scale_without_room_for_large_text():
    """Letters of 40 pixels do not fit into a picture of 40: its halves would change nothing."""
    assert list(half_sizes((65_000, 1), 512)) == []
    assert list(half_sizes((40, 65_000), 512)) == []
    assert list(half_sizes((42, 1000), 512)) == [(21, 500)]
    full = np.ones((20, 300), np.uint8)
    assert found(full) is None
    assert found(np.ones((21, 300), np.uint8)) is not None


def test_large_text_brings_its_narrow_neighbours_along():
    text = np.zeros((120, 200), np.uint8)
    places = {"O": (20, 20, 60), "I": (20, 84, 6), "far": (20, 190, 6), "small": (100, 100, 10)}
    for top, left, width in places.values():
        text[top : top + (10 if width == 10 else 60), left : left + width] = 1
    text[35:65, 35:65] = 0  # the hole of the O
    shares = found(text)
    middles = {
        name: tuple(shares[top + 5, left + width // 2])
        for name, (top, left, width) in places.items()
    }
    assert middles == {"O": (1, 1), "I": (1, 0.5), "far": (0, 0), "small": (0, 0)}
    text[20:80] = 0
    assert found(text) is None


def test_a_page_that_looks_like_a_letter_from_afar_is_none():
    page = np.zeros((120, 200), np.uint8)
    page[20:100, 30:90] = 1
    assert found(page) is None
    frame = page.copy()
    frame[40:80, 50:70] = 0
    assert found(frame) is not None
    assert found(frame, 0.65) is None  # doubtful
    thin = page.copy()
    thin[23:97, 33:87] = 0
    assert found(thin, 0.65) is not None  # as connected handwriting
    assert found(thin, 0.45) is None


def test_a_plate_near_large_letters_is_none():
    text = np.zeros((120, 300), np.uint8)
    text[20:80, 20:30] = text[20:30, 20:60] = 1  # a letter
    text[20:80, 70:120] = 1  # a plate
    shares = found(text)
    assert shares[25, 25, 0] == 1
    assert shares[50, 95, 0] == 0
