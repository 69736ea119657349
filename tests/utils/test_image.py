"""Image files: round trips, whole files only, one-line errors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from utils.image import (
    contact_sheet,
    image_to_tensor,
    read_grey,
    read_mask,
    read_rgb,
    tensor_to_array,
    write_png,
)


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_png_round_trip(tmp_path: Path, noise: np.ndarray) -> None:
    write_png(tmp_path / "new" / "a.v2.png", noise)
    write_png(tmp_path / "new" / "grey.png", noise[:, :, 0])
    np.testing.assert_array_equal(read_rgb(tmp_path / "new" / "a.v2.png"), noise)
    np.testing.assert_array_equal(read_grey(tmp_path / "new" / "grey.png"), noise[:, :, 0])
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.v2.png", "grey.png"]


def test_failed_write_leaves_the_old_file(tmp_path: Path, noise: np.ndarray, monkeypatch) -> None:
    path = tmp_path / "a.png"
    write_png(path, noise)

    def fail(image: Image.Image, file: Path, **options: str) -> None:
        Path(file).write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="no space left"):
        write_png(path, 255 - noise)
    np.testing.assert_array_equal(read_rgb(path), noise)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("array", [np.zeros((4, 4, 3)), np.zeros((4, 4, 4), dtype=np.uint8)])
def test_write_rejects_other_arrays(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"a\.png: cannot write .*, expected uint8"):
        write_png(tmp_path / "a.png", array)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bits_of_grey_are_scaled_not_cut_off(tmp_path: Path, suffix: str) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (20, 30), dtype=np.uint16)
    path = tmp_path / f"deep.{suffix}"
    if suffix == "pgm":  # which old releases of Pillow read, but do not write
        path.write_bytes(b"P5 30 20 65535\n" + deep.astype(">u2").tobytes())
    else:
        Image.fromarray(deep).save(path)
    np.testing.assert_array_equal(read_grey(path), deep // 257)
    np.testing.assert_array_equal(np.asarray(read_rgb(path))[:, :, 1], deep // 257)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_32_bits_are_refused(tmp_path: Path, dtype: type) -> None:
    Image.fromarray(np.ones((4, 4), dtype)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif: cannot read this image \(pixels of mode"):
        read_rgb(tmp_path / "a.tif")


def test_orientation_is_not_applied(tmp_path: Path, noise: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.fromarray(noise).save(tmp_path / "a.png", exif=exif)
    assert read_rgb(tmp_path / "a.png").size == (30, 20)


def test_mask_is_one_bit(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.array([[0, 255], [255, 0]], dtype=np.uint8))
    mask = read_mask(tmp_path / "a.png")
    assert mask.mode == "1"
    assert image_to_tensor(mask).tolist() == [[[0, 255], [255, 0]]]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_truncated_file(tmp_path: Path, noise: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    with pytest.raises(ValueError, match=rf"^{path}: cannot read this image \(.*\)$"):
        read_rgb(path)


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(ValueError, match=r"a\.png: not an image$"):
        read_rgb(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"b\.png: no such file$"):
        read_rgb(tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"cannot read this image \(Is a directory\)$"):
        read_rgb(tmp_path)


def test_tensor_round_trip(noise: np.ndarray) -> None:
    tensor = image_to_tensor(Image.fromarray(noise))
    assert tensor.shape == (3, 20, 30)
    np.testing.assert_array_equal(tensor_to_array(tensor), noise)
    np.testing.assert_array_equal(tensor_to_array(tensor.double() / 255), noise)
    np.testing.assert_array_equal(tensor_to_array(tensor[:1].float() / 255), noise[:, :, 0])


def test_float_tensor_is_clamped() -> None:
    assert tensor_to_array(torch.tensor([[[-1.0, 2.0]]])).tolist() == [[0, 255]]


def test_contact_sheet_shows_every_image(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    red = np.full((10, 20, 3), (255, 0, 0), dtype=np.uint8)
    black = np.zeros((40, 20), dtype=np.uint8)
    contact_sheet([[red, black], [black, red]], path, ["input", "output"], cell=64)
    sheet = np.asarray(read_rgb(path))
    height, width = sheet.shape[:2]
    assert (sheet == (255, 0, 0)).all(axis=2).sum() == 2 * 64 * 32
    assert width == 2 * 64 + 3 * 8
    assert height == 2 * 64 + 3 * 8 + 24
    assert (sheet[:24] < 128).any()  # the titles


def test_contact_sheet_needs_full_rows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rows of 2 images"):
        contact_sheet([[np.zeros((4, 4), dtype=np.uint8)]], tmp_path / "a.png", ["input", "output"])


@pytest.mark.parametrize("read", [read_grey, read_mask])
def test_masks_of_0_and_1_are_refused(tmp_path, read):
    values = np.zeros((4, 6), np.uint8)
    values[1:3] = 1
    write_png(tmp_path / "mask.png", values)
    with pytest.raises(ValueError, match=r"mask.png: has the values 0 and 1, expected 0 and 255"):
        read(tmp_path / "mask.png")
    write_png(tmp_path / "mask.png", 255 * values)
    np.testing.assert_array_equal(np.asarray(read(tmp_path / "mask.png")) > 0, values > 0)
    write_png(tmp_path / "mask.png", 0 * values)  # without any text
    assert not np.asarray(read(tmp_path / "mask.png")).any()


@pytest.mark.parametrize("read", [read_rgb, read_grey])
def test_more_pixels_than_memory_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read
) -> None:
    """As from a damaged header, which may claim any number of pixels below Pillow's limit."""

    def load(image: ImageFile.ImageFile) -> None:
        raise MemoryError

    path = tmp_path / "a.png"
    Image.new("L", (4, 4), 255).save(path)
    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(ValueError, match=r"a\.png: cannot read this image \(too little memory"):
        read(path)
