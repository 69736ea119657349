"""Pictures that attack their reader are one line, in bounded memory, and start no program."""

import os
import subprocess
import tracemalloc

import cv2
import numpy as np
import pytest
from hostile import documents, pictures
from PIL import EpsImagePlugin

from upocr import pdf
from upocr.picture import UnknownKindError, as_picture
from utils.image import read_rgb

LIMIT = 2**24  # bytes that a picture of 64 x 64 pixels may take
INFLATED = 2**27


@pytest.fixture
def no_programs(monkeypatch):
    """Starting another program fails the test."""

    def refuse(*arguments, **options):
        pytest.fail(f"started {arguments}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", "gs")
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", refuse)


def test_postscript_in_a_png_starts_nothing(tmp_path, no_programs):
    path = pictures.encapsulated_postscript(tmp_path / "x.png")
    with pytest.raises(UnknownKindError, match=r"x\.png: not an image of a readable kind"):
        as_picture(path)
    with pytest.raises(ValueError, match=r"x\.png: not an image"):
        read_rgb(path)
    assert [each.name for each in tmp_path.iterdir()] == ["x.png"]


@pytest.mark.parametrize("kind", ["ICO", "PCX", "SGI", "TGA", "JPEG2000"])
def test_only_the_formats_of_the_list_are_read(tmp_path, kind):
    path = pictures.other_format(tmp_path / "x.png", kind)
    for read in (as_picture, read_rgb):
        with pytest.raises(ValueError, match=r"x\.png: not an image"):
            read(path)


HOSTILE = {
    "inflating strip": (
        lambda path: pictures.inflating_strip(path, INFLATED),
        "a strip holds more",
    ),
    "volume of 16 bits": (lambda path: pictures.volume(path, 100_000), "volume of 100000 layers"),
    "volume of 8 bits": (lambda path: pictures.volume(path, 100_000, 8), "volume of 100000 layers"),
    "tile of 16 bits": (lambda path: pictures.large_tile(path, 60_000, 16), "tiles of 60000"),
    "tile of 8 bits": (lambda path: pictures.large_tile(path, 60_000, 8), "tiles of 60000"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_memory_is_bounded_by_the_size_that_was_checked(tmp_path, name):
    write, message = HOSTILE[name]
    path = write(tmp_path / "x.tif")
    tracemalloc.start()
    with pytest.raises(ValueError, match=message) as error:
        as_picture(path)
    assert tracemalloc.get_traced_memory()[1] < LIMIT
    tracemalloc.stop()
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": True},
        {"tile": (16, 32), "compression": "zlib"},
    ],
)
def test_sound_files_of_the_same_kind_are_read(tmp_path, options):
    if "tile" in options:
        array = np.random.default_rng(0).integers(0, 2**16, (64, 64, 3), np.uint16)
        pictures.tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", **options)
    else:
        array = pictures.sound_tiff(tmp_path / "a.tif", **options)
    np.testing.assert_array_equal(as_picture(tmp_path / "a.tif").values, array)


def test_pixels_have_the_size_that_was_checked(tmp_path, monkeypatch):
    array = np.zeros((pictures.SIDE, pictures.SIDE, 3), np.uint16)
    cv2.imwrite(str(tmp_path / "x.png"), array)
    monkeypatch.setattr(cv2, "imdecode", lambda content, flags: np.vstack([array, array]))
    with pytest.raises(ValueError, match=r"x\.png: says 64 x 64 pixels and holds 64 x 128"):
        as_picture(tmp_path / "x.png")


def test_without_the_extra_one_line_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr(pdf, "LIBRARY", "no_such_library")
    path = documents.blank(tmp_path / "x.pdf", 1)
    with pytest.raises(ValueError, match=r'x\.pdf: PDF needs pip install "upocr\[pdf\]"'):
        as_picture(path)
    path.write_text("no PDF")
    with pytest.raises(UnknownKindError, match="not an image"):
        as_picture(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(ValueError, match=r"x\.png: is a pipe, socket or device, expected a file"):
        as_picture(tmp_path / "x.png")
    with pytest.raises(ValueError, match="not a file"):
        as_picture(tmp_path)
