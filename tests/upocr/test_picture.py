"""Files in and out: depth, mode, orientation, alpha, profile, pages; untouched pixels stay."""

import io
import random
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps, features
from scipy.spatial import cKDTree
from skimage.color import rgb2lab

from upocr.composite import blend
from upocr.picture import (
    FileInMemory,
    Picture,
    TooManyPixelsError,
    UnknownKindError,
    as_picture,
    encode_picture,
    output_suffix,
    read_pages,
    upright,
    write_pictures,
)

LZW = 5  # compression of a TIFF, which old releases of OpenCV do not name
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PROFILE_TAG = (34675, 7, len(PROFILE), PROFILE, True)  # of a TIFF
H, W = 13, 22


def noise(*shape: int, dtype=np.uint8) -> np.ndarray:
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def made(mode: str) -> Image.Image:
    channels = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,), "CMYK": (4,)}
    if mode in channels:
        return Image.fromarray(noise(H, W, *channels[mode]), mode=mode)
    if mode == "1":
        return Image.fromarray(noise(H, W)).convert("1")
    if mode == "I;16":
        return Image.fromarray(noise(H, W, dtype=np.uint16))
    return made("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=16)


def half_painted(picture: Picture) -> Picture:
    """The left half painted grey, the right half untouched."""
    height, width = picture.size
    weight = np.zeros(picture.size, np.uint8)
    weight[:, : width // 2] = 255
    grey = np.full((height, width, 3), np.iinfo(picture.values.dtype).max // 2)
    return blend(picture, grey.astype(picture.values.dtype), weight)


def round_trip(path: Path, suffix: str) -> tuple[Picture, Path]:
    picture = as_picture(path)
    out = path.with_name(f"out.{suffix}")
    write_pictures([half_painted(picture)], out)
    return picture, out


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_mode_survives_and_the_untouched_half_is_identical(tmp_path, mode, suffix):
    source = made(mode)
    source.save(tmp_path / "in.png", icc_profile=PROFILE)
    _, out = round_trip(tmp_path / "in.png", suffix)
    result = Image.open(out)
    if suffix == "webp":  # knows RGB and RGBA only
        source = source.convert("RGBA" if mode.endswith("A") else "RGB")
    assert (result.mode, result.size) == (source.mode, (W, H))
    assert result.info["icc_profile"] == PROFILE
    before, after = np.array(source), np.array(result)
    np.testing.assert_array_equal(after[:, W // 2 :], before[:, W // 2 :])
    assert (after[:, : W // 2] != before[:, : W // 2]).any()
    if mode.endswith("A"):
        np.testing.assert_array_equal(after[..., -1], before[..., -1])


@pytest.mark.parametrize("transparent", [False, True])
def test_palette_becomes_colour(tmp_path, transparent):
    options = {"transparency": 0} if transparent else {}
    made("P").save(tmp_path / "in.png", **options)
    mode = "RGBA" if transparent else "RGB"
    source = np.array(Image.open(tmp_path / "in.png").convert(mode))
    _, out = round_trip(tmp_path / "in.png", "png")
    assert Image.open(out).mode == mode
    np.testing.assert_array_equal(np.array(Image.open(out))[:, W // 2 :], source[:, W // 2 :])


def test_cmyk_stays_in_tiff_and_becomes_rgb_in_png(tmp_path):
    made("CMYK").save(tmp_path / "in.tif")
    _, out = round_trip(tmp_path / "in.tif", "tif")
    result = Image.open(out)
    assert result.mode == "CMYK"
    np.testing.assert_array_equal(
        np.array(result)[:, W // 2 :], np.array(made("CMYK"))[:, W // 2 :]
    )
    picture, out = round_trip(tmp_path / "in.tif", "png")
    assert Image.open(out).mode == "RGB"
    np.testing.assert_array_equal(
        np.array(Image.open(out))[:, W // 2 :], picture.rgb()[:, W // 2 :]
    )


def write_deep_png(path: Path, array: np.ndarray, colour_type: int) -> None:
    """A 16-bit PNG from its definition, so that reader and writer are not tested on each other."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    header = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 16, colour_type, 0, 0, 0)
    profile = b"p\0\0" + zlib.compress(PROFILE)
    content = b"\x89PNG\r\n\x1a\n"
    parts = ((b"IHDR", header), (b"iCCP", profile), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    for kind, body in parts:
        content += struct.pack(">I", len(body)) + kind + body
        content += struct.pack(">I", zlib.crc32(kind + body))
    path.write_bytes(content)


@pytest.mark.parametrize(("channels", "colour_type"), [(1, 0), (2, 4), (3, 2), (4, 6)])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_png(tmp_path, channels, colour_type, suffix):
    array = noise(H, W, channels, dtype=np.uint16)
    write_deep_png(tmp_path / "in.png", array, colour_type)
    _, out = round_trip(tmp_path / "in.png", suffix)
    found = as_picture(out)
    assert found.values.dtype == np.uint16
    assert found.icc_profile == PROFILE
    alpha = [] if found.alpha is None else [found.alpha]
    after = np.dstack([found.values, *alpha])
    if channels == 2 and after.shape[2] == 4:  # grey with alpha is written as colour with alpha
        after = after[:, :, 2:]
    np.testing.assert_array_equal(after[:, W // 2 :], array[:, W // 2 :])
    assert (after[:, : W // 2] != array[:, : W // 2]).any()


@pytest.mark.parametrize("shape", [(H, W), (H, W, 3)])
def test_16_bit_tiff(tmp_path, shape):
    array = noise(*shape, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "in.tif", array, extratags=[PROFILE_TAG])
    picture, out = round_trip(tmp_path / "in.tif", "tif")
    np.testing.assert_array_equal(picture.values, array)
    assert picture.icc_profile == PROFILE
    written = tifffile.imread(out)
    assert written.dtype == np.uint16
    np.testing.assert_array_equal(written[:, W // 2 :], array[:, W // 2 :])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "lzw"])
def test_16_bit_tiff_is_turned_once(tmp_path, orientation, compression):
    array, path = noise(H, W, 3, dtype=np.uint16), tmp_path / "in.tif"
    if compression:
        tags = [cv2.IMWRITE_TIFF_COMPRESSION, LZW]
        cv2.imwrite(str(path), array[:, :, ::-1], tags)
        orientation = 1  # OpenCV writes no other
    else:
        tag = (0x0112, "H", 1, orientation, False)
        tifffile.imwrite(path, array, photometric="rgb", extratags=[tag])
    np.testing.assert_array_equal(as_picture(path).values, upright(array, orientation))


def test_16_bit_tiff_stored_by_channel(tmp_path):
    array = noise(3, H, W, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", planarconfig="separate")
    values = as_picture(tmp_path / "a.tif").values
    np.testing.assert_array_equal(values, array.transpose(1, 2, 0))


def test_16_bits_become_8_where_the_format_has_no_more(tmp_path):
    array = noise(H, W, 3, dtype=np.uint16)
    write_pictures([Picture("a", array)], tmp_path / "a.webp")
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "a.webp")), array // 257)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_orientation_is_applied_once(tmp_path, orientation, suffix):
    """Four flat corners of different colours survive JPEG; Pillow's own turn is the judge."""
    array = np.zeros((32, 48, 3), np.uint8)
    array[:16, :24], array[:16, 24:], array[16:, :24] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"in.{suffix}"
    Image.fromarray(array).save(path, exif=exif)
    picture = as_picture(path)
    expected = np.array(ImageOps.exif_transpose(Image.open(path)))
    np.testing.assert_array_equal(picture.values, expected)
    out = tmp_path / f"out.{suffix}"
    write_pictures([picture], out)
    assert Image.open(out).size == expected.shape[1::-1]
    assert Image.open(out).getexif().get(0x0112, 1) == 1
    np.testing.assert_allclose(as_picture(out).values, expected, atol=30)  # JPEG


def test_turns_of_arrays():
    array = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(upright(array, 6), [[3, 0], [4, 1], [5, 2]])
    np.testing.assert_array_equal(upright(array, 8), [[2, 5], [1, 4], [0, 3]])


def test_jpeg_keeps_grey_profile_and_cmyk_and_shows_alpha_on_white(tmp_path):
    for mode in ("L", "RGB", "CMYK"):
        made(mode).save(tmp_path / "in.jpg", icc_profile=None if mode == "CMYK" else PROFILE)
        picture, out = round_trip(tmp_path / "in.jpg", "jpg")
        assert Image.open(out).mode == mode
        assert Image.open(out).info.get("icc_profile") == picture.icc_profile
    clear = Picture("a", np.zeros((H, W, 3), np.uint8), np.zeros((H, W), np.uint8))
    write_pictures([clear], tmp_path / "clear.jpg")
    assert np.array(Image.open(tmp_path / "clear.jpg")).min() == 255


def test_every_page_of_a_tiff(tmp_path):
    pages = [Image.fromarray(noise(5 + n, 9, 3)) for n in range(3)]
    pages[0].save(tmp_path / "in.tif", save_all=True, append_images=pages[1:])
    found = list(read_pages(tmp_path / "in.tif"))
    assert [picture.name for picture in found] == ["in.page1", "in.page2", "in.page3"]
    for page, picture in zip(pages, found, strict=True):
        np.testing.assert_array_equal(picture.values, np.array(page))
    write_pictures(found, tmp_path / "out.tif")
    assert [picture.size for picture in read_pages(tmp_path / "out.tif")] == [
        (5, 9),
        (6, 9),
        (7, 9),
    ]


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_first_frame_of_an_animation_and_a_word_about_it(tmp_path, suffix):
    frames = [Image.new("RGB", (9, 8), colour) for colour in ("red", "lime")]
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(tmp_path / f"in.{suffix}", save_all=True, append_images=frames[1:], **options)
    (picture,) = read_pages(tmp_path / f"in.{suffix}")
    assert picture.notes == ("animation of 2 frames: the first one is used",)
    np.testing.assert_array_equal(picture.rgb()[0, 0], (255, 0, 0))


def test_same_format():
    kinds = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "GIF": "png", "": "png"}
    for name, suffix in kinds.items():
        picture = Picture("a", noise(2, 2, 3), format=name)
        assert output_suffix(picture, "same") == suffix
        assert output_suffix(picture, "jpg") == "jpg"


def test_memory_images(tmp_path):
    array = noise(H, W, 3)
    np.testing.assert_array_equal(as_picture(array).values, array)
    np.testing.assert_array_equal(as_picture(Image.fromarray(array)).values, array)
    for bad in (array[:, :, 0], array.astype(np.float32), np.zeros((0, 4, 3), np.uint8), 7):
        with pytest.raises(ValueError, match=r"expected uint8|an image is"):
            as_picture(bad)


def png_bytes() -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise(60, 60, 3)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"not a picture", "not an image"), (png_bytes()[:4000], "cannot read")],
)
def test_damaged_files(tmp_path, content, message):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"bad.png: .*{message}"):
        as_picture(path)


def test_truncated_16_bit(tmp_path):
    write_deep_png(tmp_path / "a.png", noise(60, 60, 3, dtype=np.uint16), 2)
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "bad.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"bad.png: cannot read"):
        as_picture(tmp_path / "bad.png")


def damaged_copies(sound: bytes, number: int):
    """Copies of a file with four bytes changed, near its start where the structure is, or cut."""
    generator = random.Random(0)
    for index in range(number):
        copy = bytearray(sound)
        reach = len(copy) if index % 2 else min(len(copy), 200)
        for _ in range(4):
            copy[generator.randrange(reach)] = generator.randrange(256)
        yield bytes(copy if index % 3 else copy[: generator.randrange(len(copy))])


KINDS = ("png", "jpg", "gif", "webp", "tif", "bmp", "deep.png", "deep.tif")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", KINDS)
def test_whatever_damage_does_is_one_error_that_names_the_file(tmp_path, suffix):
    path = tmp_path / f"sound.{suffix}"
    if suffix == "deep.png":
        cv2.imwrite(str(path), noise(H, W, 3, dtype=np.uint16))
    elif suffix == "deep.tif":
        tifffile.imwrite(path, noise(H, W, 3, dtype=np.uint16), photometric="rgb")
    else:
        made("RGB").save(path)
    messages = []
    for content in damaged_copies(path.read_bytes(), 150):
        path.write_bytes(content)
        try:
            list(read_pages(path, max_pixels=100_000))
        except ValueError as error:  # anything else fails the test
            messages.append(str(error))
    assert len(messages) > 30
    assert all(str(path) in message and "\n" not in message for message in messages)


def test_bomb_is_refused_before_it_is_decoded(tmp_path):
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")):
        content += struct.pack(">I", len(body)) + kind + body
        content += struct.pack(">I", zlib.crc32(kind + body))
    (tmp_path / "bomb.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"bomb.png: 100000 x 100000 pixels are more"):
        as_picture(tmp_path / "bomb.png")
    Image.fromarray(noise(2, 3, 3)).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match="more than the limit of 5"):
        as_picture(tmp_path / "small.png", max_pixels=5)
    as_picture(tmp_path / "small.png", max_pixels=6)


def test_nothing_half_written(tmp_path, monkeypatch):
    def fail(image, file, **options):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(Image.Image, "save", fail)
    (tmp_path / "a.png").write_bytes(b"whole")
    with pytest.raises(OSError, match="no space left"):
        write_pictures([Picture("a", noise(4, 4, 3))], tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"whole"


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pictures_in_memory_are_those_on_disk(tmp_path, suffix, dtype):
    picture = Picture("a", noise(40, 30, 3, dtype=dtype))
    path = tmp_path / f"a.{suffix}"
    write_pictures([picture], path)
    content = encode_picture(picture, suffix)
    assert content == path.read_bytes()
    (from_disk,), (from_memory,) = read_pages(path), read_pages(FileInMemory(path.name, content))
    np.testing.assert_array_equal(from_memory.values, from_disk.values)
    assert from_memory.name == from_disk.name == "a"


def test_broken_files_in_memory_are_named():
    with pytest.raises(UnknownKindError, match=r"a\.png: is empty"):
        next(read_pages(FileInMemory("a.png", b"")))
    with pytest.raises(UnknownKindError, match=r"a\.png: not an image of a readable kind"):
        next(read_pages(FileInMemory("a.png", b"text")))
    content = encode_picture(Picture("a", noise(40, 30, 3)), "png")
    with pytest.raises(ValueError, match=r"a\.png: cannot read this image"):
        next(read_pages(FileInMemory("a.png", content[:200])))
    with pytest.raises(TooManyPixelsError, match="30 x 40 pixels are more than the limit of 1000"):
        next(read_pages(FileInMemory("a.png", content), max_pixels=1000))


def inks(values):
    """(..., 4) CMYK 0-1 -> RGB 0-1 of inks that are not as pure as Pillow takes them for."""
    papers = [(0.1, 0.6, 0.85), (0.85, 0.15, 0.5), (0.95, 0.85, 0.1), (0.15, 0.15, 0.15)]
    return np.prod(1 - values[..., None] * (1 - np.array(papers)), axis=-2)


def grid(side, *last):
    """(..., 3 or 4) float: all places of a cube of that side."""
    axes = [np.linspace(0, 1, side)] * 3 + [np.asarray(axis) for axis in last]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1)


def lut(table, sides):
    """An ICC table of 8 bits (`mft1`), float 0-1 over a grid of as many sides."""
    head = struct.pack(">4s4xBBBx", b"mft1", sides, table.shape[-1], table.shape[0])
    matrix = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    body = np.rint(255 * table).astype(np.uint8).tobytes()
    straight = bytes(range(256))
    return head + matrix + straight * sides + body + straight * table.shape[-1]


def cmyk_profile():
    """An ICC profile of `inks`, there and back."""

    def to_lab(values):
        return (rgb2lab(inks(values)) + np.array([0, 128, 128])) / (100, 255, 255)

    few, many = grid(17), grid(25, [0.0]).reshape(-1, 4)
    back = many[cKDTree(to_lab(many)).query(few.reshape(-1, 3))[1]].reshape(17, 17, 17, 4)
    tags = {
        b"desc": b"desc" + struct.pack(">4xI", 5) + b"inks" + bytes(79),
        b"cprt": b"text" + bytes(4) + b"CC0" + bytes(1),
        b"wtpt": b"XYZ " + struct.pack(">4x3i", 63190, 65536, 54061),
        b"A2B0": lut(to_lab(grid(9, np.linspace(0, 1, 9))), 4),
        b"B2A0": lut(back, 3),
    }
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    kinds = (0x02400000, b"prtr", b"CMYK", b"Lab ")
    head = struct.pack(">I4xI4s4s4s12x4s", start + len(body), *kinds, b"acsp") + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, bytes(1)) + table + body


def test_cmyk_is_painted_in_the_colours_of_its_profile():
    values = np.random.default_rng(0).integers(0, 200, (40, 50, 4), np.uint8)
    values[..., 3] //= 4
    picture = Picture("a", values, icc_profile=cmyk_profile())
    wanted = (255 * inks(values / 255)).round()
    assert np.abs(picture.rgb() - wanted).mean() < 4  # the profile is in use
    painted = blend(picture, picture.rgb(), np.full((40, 50), 255, np.uint8)).rgb()
    assert np.abs(painted.astype(int) - picture.rgb()).mean() < 4


def test_bgr_order_of_opencv_is_undone(tmp_path):
    red = np.zeros((4, 4, 3), np.uint16)
    red[:, :, 2] = 65535  # BGR
    cv2.imwrite(str(tmp_path / "red.png"), red)
    np.testing.assert_array_equal(as_picture(tmp_path / "red.png").values[0, 0], (65535, 0, 0))


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")
def test_avif_is_read(tmp_path):
    Image.new("RGB", (20, 30), (200, 10, 10)).save(tmp_path / "a.avif", quality=100)
    (picture,) = read_pages(tmp_path / "a.avif")
    assert picture.size == (30, 20)
    assert abs(picture.rgb().astype(int) - (200, 10, 10)).max() <= 8


def test_heic_without_its_extra_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("upocr.picture._reads_heif", lambda: False)
    (tmp_path / "photo.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(ValueError, match=r'photo\.HEIC: HEIC needs pip install "upocr\[heif\]"'):
        next(read_pages(tmp_path / "photo.HEIC"))
