"""Backgrounds: photographs per split, crops, and text that they contain already."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from synthesis.photo.backgrounds import (
    draw_background,
    shipped_photographs,
    split_photographs,
    text_likeness,
)
from synthesis.sampling import generator


def test_splits_share_no_photograph():
    splits = split_photographs(shipped_photographs())
    assert splits["train"]
    assert splits["test"]
    assert not set(splits["train"]) & set(splits["test"])


def test_a_background_has_the_size_asked_for():
    for seed in range(4):
        background = draw_background(generator(seed), shipped_photographs(), 160)
        assert background.pixels.shape == (160, 160, 3)
        assert background.pixels.dtype == np.uint8


def test_a_text_like_background_is_the_busiest_crop(tmp_path: Path):
    photograph = np.full((400, 900, 3), 90, np.uint8)
    page = Image.fromarray(photograph)
    for row in range(8):
        ImageDraw.Draw(page).text((600, 48 * row), "Leaves", "white", ImageFont.load_default(40))
    page.save(path := tmp_path / "half.png")
    deviations = [
        [
            draw_background(generator(seed), [path], 128, avoid_text=avoid, text_like=not avoid)
            .pixels.std(axis=(0, 1))
            .mean()
            for seed in range(8)
        ]
        for avoid in (True, False)
    ]
    assert np.median(deviations[0]) + 10 < np.median(deviations[1])


def test_writing_is_like_text_and_a_smooth_wall_is_not():
    page = Image.new("RGB", (200, 80), "white")
    ImageDraw.Draw(page).text((10, 20), "A line of text", "black", ImageFont.load_default(28))
    assert text_likeness(np.array(page)).mean() > 0.1
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[None], 80, axis=0)
    assert not text_likeness(cv2.merge([ramp] * 3)).any()
