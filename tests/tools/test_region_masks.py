"""Masks from polygons drawn by hand: letters by threshold, everything outside unknown."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from tools import region_masks
from tools.region_masks import REGIONS, read_regions, region_mask

SQUARE = [[10, 10], [89, 10], [89, 89], [10, 89]]


def region(letters: str, channel: str = "grey") -> dict:
    return {"polygon": SQUARE, "letters": letters, "channel": channel}


def picture(ground: tuple[int, int, int], ink: tuple[int, int, int]) -> np.ndarray:
    """100 x 100 with a bar of ink, 6 pixels wide, which also leaves the square."""
    made = np.full((100, 100, 3), ground, np.uint8)
    made[40:46] = ink
    return made


@pytest.mark.parametrize(
    ("letters", "channel", "ground", "ink"),
    [
        ("dark", "grey", (200, 200, 200), (30, 30, 30)),
        ("bright", "grey", (60, 20, 20), (240, 240, 240)),
        ("ink", "grey", (180, 180, 170), (60, 60, 60)),
        ("bright", "red", (30, 90, 30), (220, 20, 20)),
        ("dark", "green", (230, 180, 40), (180, 20, 40)),
        ("dark", "minimum", (160, 220, 220), (200, 20, 20)),
    ],
)
def test_letters_within_the_polygon(letters, channel, ground, ink):
    mask = region_mask(picture(ground, ink), [region(letters, channel)])
    expected = np.full((100, 100), 128)
    expected[10:90, 10:90] = 0
    expected[40:46, 10:90] = 255
    assert (mask == expected).all()


def test_ink_is_found_in_any_light():
    light = np.linspace(90, 250, 100)
    rgb = np.repeat(np.tile(light, (100, 1))[:, :, None], 3, axis=2)
    rgb[40:46] *= 0.4
    mask = region_mask(rgb.astype(np.uint8), [region("ink")])
    assert (mask[40:46, 10:90] == 255).mean() > 0.95
    assert (mask[50:90, 10:90] == 0).all()


def test_what_is_not_a_region_is_named(tmp_path):
    path = tmp_path / "regions.json"
    for wrong in (
        {"polygon": SQUARE, "letters": "dark"},
        region("pale"),
        region("dark", "blue"),
        region("dark") | {"polygon": SQUARE[:2]},
        region("dark") | {"polygon": [[1, 2], [3, "4"], [5, 6]]},
        region("dark") | {"polygon": [[1, 2], [3, 1e9], [5, 6]]},
        7,
    ):
        path.write_text(json.dumps({"a.jpg": [region("dark"), wrong]}))
        with pytest.raises(ValueError, match=r"regions\.json: a\.jpg: expected regions with poly"):
            read_regions(path)
    for text, message in (("[1]", "expected a photograph's name"), ("{", "not JSON")):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_regions(path)


def test_the_regions_of_the_repository_are_read():
    regions = read_regions(REGIONS)
    assert sum(map(len, regions.values())) > 20


def test_the_command_writes_every_mask_or_none(tmp_path, monkeypatch, capsys):
    Image.fromarray(picture((200,) * 3, (30,) * 3)).save(tmp_path / "a.png")
    path, output = tmp_path / "regions.json", tmp_path / "masks"
    command = ["region_masks", str(tmp_path), "--regions", str(path), "--output_dir", str(output)]
    monkeypatch.setattr(sys, "argv", command)
    path.write_text(json.dumps({"a.png": [region("dark")], "b.png": [region("dark")]}))
    with pytest.raises(ValueError, match=r"b\.png: no such file"):
        region_masks.main()
    assert not output.exists()
    path.write_text(json.dumps({"a.png": [region("dark")]}))
    region_masks.main()
    mask = np.asarray(Image.open(output / "a.png"))
    assert set(np.unique(mask)) == {0, 128, 255}
    assert "1 masks" in capsys.readouterr().out
