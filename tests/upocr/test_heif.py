"""HEIC and AVIF: upright, the main picture of several, and files that attack their reader."""

import numpy as np
import pytest
from hostile import documents
from PIL import Image, features

from upocr.picture import read_pages


def sketch() -> np.ndarray:
    """Four quarters that no turn maps onto themselves."""
    image = np.zeros((64, 96, 3), np.uint8)
    image[:32, :48], image[:32, 48:] = (200, 30, 30), (30, 200, 30)
    image[32:, :48], image[32:, 48:] = (30, 30, 200), (220, 220, 220)
    return image


def save(path, kind: str, *arrays: np.ndarray, orientation: int = 1, **options) -> None:
    if kind == "HEIF":
        heif = pytest.importorskip("pillow_heif", reason='needs the extra "heif"')
        heif.register_heif_opener()
    elif not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    exif = Image.Exif()
    exif[0x0112] = orientation
    images = [Image.fromarray(array) for array in arrays]
    images[0].save(
        path,
        kind,
        quality=90,
        exif=exif.tobytes(),
        save_all=True,
        append_images=images[1:],
        **options,
    )


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_pictures_are_upright(tmp_path, kind, orientation):
    turns = {1: 0, 6: 1, 8: 3}[orientation]  # quarters against the clock from upright to stored
    path = tmp_path / f"x.{kind.lower()}"
    save(path, kind, np.ascontiguousarray(np.rot90(sketch(), turns)), orientation=orientation)
    (picture,) = read_pages(path)
    assert picture.format == kind
    assert picture.size == (64, 96)
    assert np.abs(picture.values[::8, ::8].astype(int) - sketch()[::8, ::8]).mean() < 12


def test_the_main_picture_of_several(tmp_path):
    path = tmp_path / "x.heic"
    dark = np.full((64, 96, 3), 20, np.uint8)
    save(path, "HEIF", dark, sketch(), dark, primary_index=1)
    (picture,) = read_pages(path)
    assert np.abs(picture.values[::8, ::8].astype(int) - sketch()[::8, ::8]).mean() < 12
    assert picture.notes == ("holds 3 pictures: the main one is used",)


def test_animated_avif_is_its_first_frame(tmp_path):
    save(tmp_path / "x.avif", "AVIF", sketch(), np.zeros_like(sketch()))
    (picture,) = read_pages(tmp_path / "x.avif")
    assert picture.values[0, 0, 0] > 150
    assert picture.notes == ("animation of 2 frames: the first one is used",)


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_truncated_files_are_one_line(tmp_path, kind):
    path = tmp_path / f"x.{kind.lower()}"
    save(path, kind, sketch())
    content = path.read_bytes()
    for part in (5, 40, len(content) // 2, len(content) - 9):
        path.write_bytes(content[:part])
        with pytest.raises(
            ValueError, match=r"x\.\w+: (cannot read this image|not an image)"
        ) as error:
            list(read_pages(path))
        assert "\n" not in str(error.value)


def test_huge_dimensions_in_the_header_are_refused_before_decoding(tmp_path):
    pytest.importorskip("pillow_heif", reason='needs the extra "heif"')
    path = documents.enlarged_heic(tmp_path / "x.heic", 100_000)
    with pytest.raises(ValueError, match="100000 x 100000 pixels are more than the limit"):
        list(read_pages(path))
    documents.enlarged_heic(path, 5000)
    with pytest.raises(ValueError, match=r"x\.heic: cannot read this image"):
        list(read_pages(path))
