"""A user's picture with everything that its file carries: depth, alpha, profile, pages."""

import contextlib
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageCms, TiffImagePlugin, UnidentifiedImageError

from upocr.files import atomic_path
from upocr.opening import PictureError, check_tiff, inflates_within, open_image
from upocr.tiling import row_bands

HEIF = (".heic", ".heif")  # read by an extra
SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm"),
    *(".avif", *HEIF),
)
SAME = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif"}
MAX_PIXELS = 200_000_000
DEFLATE = (tifffile.COMPRESSION.ADOBE_DEFLATE, tifffile.COMPRESSION.DEFLATE)
ORIENTATION = 0x0112  # EXIF tag
BITS_PER_SAMPLE = 258  # TIFF tag
# EXIF orientation -> (transpose, flip rows, flip columns), applied in this order.
TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


class UnknownKindError(PictureError):
    """Not an image of a readable kind."""


class TooManyPixelsError(PictureError):
    """More pixels than the limit."""


@dataclass(frozen=True)
class FileInMemory:
    """The content of a file that is on no disk; serves `read_pages` as a path does.

    Args:
        name: of the file, for messages and for the names of results.
        content: of the file.
    """

    name: str
    content: bytes = field(repr=False)

    def __str__(self) -> str:
        return self.name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return Path(self.name).stem

    @property
    def suffix(self) -> str:
        """Of the name, with its dot."""
        return Path(self.name).suffix

    def open(self, mode: str = "rb") -> BytesIO:
        """The content as a file; `mode` as of `Path.open`."""
        return BytesIO(self.content)

    def read_bytes(self) -> bytes:
        """The content."""
        return self.content


File = Path | FileInMemory


@dataclass
class Picture:
    """Upright pixels and what a faithful copy of the file needs.

    Args:
        name: of the files written for it, without suffix.
        values: (H, W) grey, (H, W, 3) RGB or (H, W, 4) CMYK, uint8 or uint16.
        alpha: (H, W) of the same type, or None.
        bilevel: whether the file holds black and white only.
        icc_profile: of `values`.
        format: of the file by its name in Pillow; "" for a picture from memory.
        notes: what could not be kept, one line each.
    """

    name: str
    values: np.ndarray
    alpha: np.ndarray | None = None
    bilevel: bool = False
    icc_profile: bytes | None = None
    format: str = ""
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.values.shape[0], self.values.shape[1]

    @property
    def is_cmyk(self) -> bool:
        """Whether the pixels are CMYK."""
        return self.values.shape[2:] == (4,)

    def rgb(self) -> np.ndarray:
        """(H, W, 3) RGB as seen on white paper, in the depth of the file."""
        if self.values.shape[2:] == (3,) and self.alpha is None:
            return self.values
        seen = np.empty((*self.size, 3), self.values.dtype)
        for rows in row_bands(*self.size):
            seen[rows] = self._rgb_band(rows)
        return seen

    def _rgb_band(self, rows: slice) -> np.ndarray:
        values = self.values[rows]
        if self.is_cmyk:
            return convert_inks(values, "RGB", self.icc_profile)
        if values.ndim == 2:
            values = np.repeat(values[:, :, None], 3, axis=2)
        if self.alpha is None:
            return values
        white = np.float32(np.iinfo(values.dtype).max)
        share = self.alpha[rows, :, None].astype(np.float32) / white
        return np.rint(white + share * (values - white)).astype(values.dtype)


def convert_inks(values: np.ndarray, mode: str, icc_profile: bytes | None) -> np.ndarray:
    """(H, W, 4) CMYK -> (H, W, 3) sRGB or back, to `mode`, through the CMYK profile if usable."""
    image = Image.fromarray(values, mode="CMYK" if mode == "RGB" else "RGB")
    if icc_profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            inks = ImageCms.ImageCmsProfile(BytesIO(icc_profile))
            screen = ImageCms.createProfile("sRGB")
            source, target = (inks, screen) if mode == "RGB" else (screen, inks)
            return np.array(ImageCms.profileToProfile(image, source, target, outputMode=mode))
    return np.array(image.convert(mode))


def from_rgb(picture: Picture, rgb: np.ndarray) -> np.ndarray:
    """(h, W, 3) RGB in the depth of the picture -> grey, RGB or CMYK like the picture."""
    if picture.is_cmyk:
        return convert_inks(rgb, "CMYK", picture.icc_profile)
    if picture.values.ndim == 3:
        return rgb
    grey = rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)  # Rec. 601
    return np.rint(grey).astype(rgb.dtype)


def as_picture(
    image: Picture | Image.Image | np.ndarray | str | Path, max_pixels: int = MAX_PIXELS
) -> Picture:
    """A picture from a path (its first page), a Pillow image or an RGB array (H, W, 3) uint8.

    Raises ValueError for anything else, and as `read_pages`.
    """
    if isinstance(image, Picture):
        return image
    if isinstance(image, str | Path):
        return next(read_pages(image, max_pixels))
    if isinstance(image, Image.Image):
        return _from_pillow(image, "image", "image")
    if not isinstance(image, np.ndarray):
        raise ValueError(f"an image is a path, a Pillow image or an array, not {type(image)}")
    if image.dtype != np.uint8 or image.shape[2:] != (3,) or not image.size:
        raise ValueError(f"array {image.dtype} {image.shape}: expected uint8 (H, W, 3) RGB")
    return Picture("image", np.ascontiguousarray(image))


def read_pages(path: str | File, max_pixels: int = MAX_PIXELS) -> Iterator[Picture]:
    """Read a file: every page of a TIFF, the first frame of an animation, upright.

    Raises ValueError with the path for a file that is missing, damaged, not an image, or of more
    than `max_pixels` pixels.
    """
    path = Path(path) if isinstance(path, str) else path
    if path.suffix.lower() in HEIF:
        _reads_heif()
    try:
        with _without_pillow_limit(), path.open("rb") as file, open_image(file) as image:
            yield from _pages(path, image, max_pixels)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        if path.suffix.lower() in HEIF and not _reads_heif():
            raise UnknownKindError(f'{path}: HEIC needs pip install "upocr[heif]"') from None
        with path.open("rb") as file:
            reason = "not an image of a readable kind" if file.read(1) else "is empty"
        raise UnknownKindError(f"{path}: {reason}") from None
    except PictureError as error:
        if str(path) in str(error):
            raise
        raise PictureError(f"{path}: {error}") from None
    except Exception as error:  # decoders raise anything on damaged files
        text = str(getattr(error, "strerror", None) or error)
        reason = " ".join(text.split()) or type(error).__name__
        raise ValueError(f"{path}: cannot read this image ({reason})") from None


@cache
def _reads_heif() -> bool:
    """Teach Pillow HEIC if the extra is installed; whether it is."""
    try:
        import pillow_heif  # noqa: PLC0415 - an extra
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


@contextlib.contextmanager
def _without_pillow_limit() -> Iterator[None]:
    """Pillow's limit is global; ours is checked before pixels are decoded."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _pages(path: File, image: Image.Image, max_pixels: int) -> Iterator[Picture]:
    frames = getattr(image, "n_frames", 1)
    pages = frames if image.format == "TIFF" else 1
    notes: tuple[str, ...] = ()
    if frames > pages and image.format != "MPO":  # a camera's JPEG with a preview
        notes = (f"animation of {frames} frames: the first one is used",)
    for page in range(pages):
        image.seek(page)
        check_tiff(image)
        width, height = image.size
        if width * height > max_pixels:
            raise TooManyPixelsError(
                f"{path}: {width} x {height} pixels are more than the limit of {max_pixels}, "
                "see --max_pixels"
            )
        name = path.stem if pages == 1 else f"{path.stem}.page{page + 1}"
        is_deep = _depth(path, image) == 16
        if is_deep and (image.format == "TIFF" or not image.mode.startswith("I;16")):
            picture = _read_deep(path, image, page, name)
        else:
            image.load()
            picture = _from_pillow(image, name, path)
        if sorted(picture.size) != sorted((width, height)):  # a page may lie on its side
            found = " x ".join(map(str, picture.size[::-1]))
            raise PictureError(f"{path}: says {width} x {height} pixels and holds {found}")
        yield replace(picture, format=image.format or "", notes=notes)


def _depth(path: File, image: Image.Image) -> int:
    """Bits per channel in the file, which Pillow hides for colour."""
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24]
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (8,)))
    return 8


def _read_deep(path: File, image: Image.Image, page: int, name: str) -> Picture:
    """16-bit pixels, which Pillow would reduce to 8 bits."""
    orientation = image.getexif().get(ORIENTATION, 1)
    if image.format == "TIFF":
        array, is_upright = _deep_tiff(path, page)
        orientation = 1 if is_upright else orientation
    else:
        content = np.frombuffer(path.read_bytes(), np.uint8)
        array = _from_opencv(cv2.imdecode(content, cv2.IMREAD_UNCHANGED), path)
        array = array[:, :, [0, 3]] if image.mode == "LA" else array
    return _picture(name, array, orientation, image)


def _deep_tiff(path: File, page: int) -> tuple[np.ndarray, bool]:
    """(H, W, C) grey, RGB or RGBA, and whether it is upright already."""
    with path.open("rb") as opened, tifffile.TiffFile(opened) as file:
        tags = file.pages[page].aspage()
        kinds = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)
        if tags.dtype != np.uint16 or tags.photometric not in kinds:
            raise PictureError(f"{path}: {tags.dtype} pixels of this kind are not supported")
        by_channel = tags.axes == "SYX"
        # OpenCV decodes LZW and applies the orientation, but misreads separate planes.
        if tags.compression == tifffile.COMPRESSION.LZW and not by_channel:
            content, pages = np.frombuffer(path.read_bytes(), np.uint8), (page, page + 1)
            found = cv2.imdecodemulti(content, cv2.IMREAD_UNCHANGED, range=pages)[1]
            return _from_opencv(found[0] if found else None, path), True
        _check_strips(tags)
        array = tags.asarray()
    return array.transpose(1, 2, 0) if by_channel else array, False


def _check_strips(page: tifffile.TiffPage) -> None:
    """Raise PictureError unless every strip or tile holds no more than its pixels.

    tifffile inflates without a limit: a strip of kilobytes may hold gigabytes.
    """
    if page.compression == tifffile.COMPRESSION.NONE:
        return
    if page.compression not in DEFLATE:
        raise PictureError(f"16 bits with the compression {page.compression} are not supported")
    rows, *others = page.chunks
    rows = rows if page.is_tiled else min(rows, page.imagelength)
    limit = math.prod([rows, *others, 2])  # bytes
    file = page.parent.filehandle
    too_many = len(page.dataoffsets) > math.prod(page.chunked)
    if too_many or sum(page.databytecounts) > file.size:
        raise PictureError("has strips that overlap, or more than its pixels need")
    for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        file.seek(offset)
        if not inflates_within(file.read(size), limit):
            raise PictureError(f"a strip holds more than its {limit} bytes")


def _from_opencv(array: np.ndarray | None, path: File) -> np.ndarray:
    """16-bit pixels of OpenCV, grey, BGR or BGRA -> (H, W, C) grey, RGB or RGBA."""
    if array is None or array.dtype != np.uint16:
        raise PictureError(f"{path}: cannot read this image (16-bit pixels are damaged)")
    array = np.atleast_3d(array)
    return array if array.shape[2] < 3 else array[:, :, [2, 1, 0, 3][: array.shape[2]]]


def _from_pillow(image: Image.Image, name: str, path: File | str) -> Picture:
    orientation = image.getexif().get(ORIENTATION, 1)
    if image.mode in ("F", "I", "LAB"):
        raise PictureError(f"{path}: pixels of mode {image.mode!r} are not supported")
    if image.mode.startswith("I;16"):
        return _picture(name, np.array(image).astype(np.uint16), orientation, image)
    if image.mode == "CMYK":
        values = upright(np.array(image), orientation)
        return Picture(name, values, icc_profile=image.info.get("icc_profile"))
    grey = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    mode = grey + "A" * image.has_transparency_data
    return _picture(name, np.array(image.convert(mode)), orientation, image)


def _picture(name: str, array: np.ndarray, orientation: int, image: Image.Image) -> Picture:
    """From pixels as stored, (H, W) or (H, W, C): grey or RGB, with or without alpha."""
    array = np.atleast_3d(upright(array, orientation))
    channels = array.shape[2]
    return Picture(
        name,
        np.ascontiguousarray(array[:, :, 0] if channels < 3 else array[:, :, :3]),
        np.ascontiguousarray(array[:, :, -1]) if channels in (2, 4) else None,
        image.mode == "1",
        image.info.get("icc_profile"),
    )


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turn (H, W) or (H, W, C) as stored so that an EXIF orientation (1 to 8) shows upright."""
    transposed, rows, columns = TURNS.get(orientation, (False, False, False))
    turned = array.swapaxes(0, 1) if transposed else array
    turned = turned[::-1] if rows else turned
    return np.ascontiguousarray(turned[:, ::-1] if columns else turned)


def output_suffix(picture: Picture, kind: str) -> str:
    """Suffix for png, jpg, webp or same; png instead of formats that are not written."""
    return SAME.get(picture.format, "png") if kind == "same" else kind


def write_pictures(pictures: list[Picture], path: Path) -> None:
    """Write one picture, or the pages of a TIFF, in the format of the suffix.

    The file appears complete or not at all. JPEG replaces alpha by white; PNG and WebP have no
    CMYK; only PNG and TIFF have 16 bits.
    """
    suffix = path.suffix[1:]
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        _write(pictures, file, suffix)


def encode_picture(picture: Picture, suffix: str) -> bytes:
    """The content of the file that `write_pictures` would write: png, jpg, webp or tif."""
    file = BytesIO()
    _write([picture], file, suffix)
    return file.getvalue()


def _write(pictures: list[Picture], file: BinaryIO, suffix: str) -> None:
    if suffix == "tif":
        _write_tiff(pictures, file)
    elif pictures[0].values.dtype == np.uint16 and suffix == "png":
        file.write(_deep_png(pictures[0]))
    else:
        _write_pillow(to_8_bit(pictures[0]), file, suffix)


def _write_pillow(picture: Picture, file: BinaryIO, suffix: str) -> None:
    options: dict[str, Any] = {"format": {"jpg": "JPEG"}.get(suffix, suffix.upper())}
    if suffix == "jpg":
        options |= {"quality": 95, "subsampling": 0}
        if picture.alpha is not None:
            seen = picture.rgb()
            values = seen if picture.values.ndim == 3 else np.ascontiguousarray(seen[:, :, 0])
            picture = replace(picture, values=values, alpha=None)
    elif picture.is_cmyk:
        picture = replace(picture, values=picture.rgb(), icc_profile=None)
    if suffix == "webp":
        options |= {"lossless": True, "exact": True}
    image = Image.fromarray(_with_alpha(picture), mode="CMYK" if picture.is_cmyk else None)
    if picture.bilevel and suffix == "png":
        image = image.convert("1", dither=Image.Dither.NONE)
    image.save(file, icc_profile=picture.icc_profile, **options)


def _with_alpha(picture: Picture) -> np.ndarray:
    """The values, with alpha as their last channel."""
    values, alpha = picture.values, picture.alpha
    return values if alpha is None else np.dstack([values, alpha])


def to_8_bit(picture: Picture) -> Picture:
    """The picture with its 16 bits rounded down to 8."""
    if picture.values.dtype == np.uint8:
        return picture
    alpha = None if picture.alpha is None else (picture.alpha // 257).astype(np.uint8)
    return replace(picture, values=(picture.values // 257).astype(np.uint8), alpha=alpha)


def _deep_png(picture: Picture) -> bytes:
    """16-bit PNG by OpenCV, with the profile inserted: Pillow writes colour with 8 bits only."""
    if picture.values.ndim == 2 and picture.alpha is not None:  # OpenCV has no grey with alpha
        picture = replace(picture, values=np.repeat(picture.values[:, :, None], 3, axis=2))
    values = _with_alpha(picture)
    if values.ndim == 3:
        values = values[:, :, [2, 1, 0, 3][: values.shape[2]]]
    content = cv2.imencode(".png", np.ascontiguousarray(values))[1].tobytes()
    if not picture.icc_profile:
        return content
    body = b"iCCP" + b"ICC profile\0\0" + zlib.compress(picture.icc_profile)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    header = 33  # signature and IHDR, which the profile must follow
    return content[:header] + chunk + content[header:]


def _write_tiff(pictures: list[Picture], opened: BinaryIO) -> None:
    with tifffile.TiffWriter(opened) as file:
        for picture in pictures:
            values = _with_alpha(picture)
            photometric = "separated" if picture.is_cmyk else "rgb"
            file.write(
                values > 0 if picture.bilevel else values,
                photometric=photometric if picture.values.ndim == 3 else "minisblack",
                extrasamples=None if picture.alpha is None else ["unassalpha"],
                compression=None if picture.bilevel else "zlib",
                iccprofile=picture.icc_profile,
                contiguous=False,
                metadata=None,
            )
