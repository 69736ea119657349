"""Scales: which text is large, and which sizes are looked at."""

import numpy as np

from upocr.scales import half_sizes, large_text


def test_halves_go_down_to_a_quarter_of_a_window():
    assert list(half_sizes((1000, 300), 512)) == [(500, 150), (250, 75), (125, 38)]
    assert list(half_sizes((100, 128), 512)) == []


def test_no_scale_without_room_for_large_text():
    """Letters of 40 pixels do not fit into a picture of 40: its halves would change nothing."""
    assert list(half_sizes((65_000, 1), 512)) == []
    assert list(half_sizes((40, 65_000), 512)) == []
    assert list(half_sizes((42, 1000), 512)) == [(21, 500)]
    full = np.ones((20, 300), np.uint8)
    assert large_text(full, 512) is None
    assert large_text(np.ones((21, 300), np.uint8), 512) is not None


def test_large_text_brings_its_narrow_neighbours_along():
    text = np.zeros((120, 200), np.uint8)
    places = {"O": (20, 20, 60), "I": (20, 84, 6), "far": (20, 190, 6), "small": (100, 100, 10)}
    for top, left, width in places.values():
        text[top : top + (10 if width == 10 else 60), left : left + width] = 1
    shares = large_text(text, 512)
    middles = {
        name: tuple(shares[top + 5, left + width // 2])
        for name, (top, left, width) in places.items()
    }
    assert middles == {"O": (1, 1), "I": (1, 0.5), "far": (0, 0), "small": (0, 0)}
    text[20:80] = 0
    assert large_text(text, 512) is None
