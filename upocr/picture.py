"""A user's picture with everything its file carries: depth, alpha, profile, pages."""

import contextlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageCms, UnidentifiedImageError

from upocr.tiling import row_bands
from utils.files import atomic_path

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm")
SAME = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif"}
MAX_PIXELS = 200_000_000
ORIENTATION = 0x0112  # tag of EXIF
BITS_PER_SAMPLE = 258  # tag of TIFF
# EXIF orientation -> (transposed, flipped rows, flipped columns), applied in this order.
TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


@dataclass
class Picture:
    """Pixels as they are shown, upright, and what a faithful copy of the file needs.

    Args:
        name: of the files that are written for it, without a suffix.
        values: (H, W) grey, (H, W, 3) RGB or (H, W, 4) CMYK, uint8 or uint16.
        alpha: (H, W) of the same type, or None.
        bilevel: the file knows black and white only.
        icc_profile: of `values`.
        format: of the file as Pillow names it; "" for a picture that comes from memory.
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
        return self.values.shape[:2]

    @property
    def is_cmyk(self) -> bool:
        """Whether the pixels are CMYK."""
        return self.values.shape[2:] == (4,)

    def rgb(self) -> np.ndarray:
        """(H, W, 3) RGB as seen on white paper, in the depth of the file."""
        if self.values.shape[2:] == (3,) and self.alpha is None:
            return self.values
        seen = np.empty((*self.size, 3), self.values.dtype)
        for rows in row_bands(len(seen)):
            seen[rows] = _rgb_band(self, rows)
        return seen


def _rgb_band(picture: Picture, rows: slice) -> np.ndarray:
    values = picture.values[rows]
    if picture.is_cmyk:
        return cmyk_to_rgb(values, picture.icc_profile)
    if values.ndim == 2:
        values = np.repeat(values[:, :, None], 3, axis=2)
    if picture.alpha is None:
        return values
    white = np.iinfo(values.dtype).max
    share = picture.alpha[rows, :, None].astype(np.float32) / white
    return np.rint(white + share * (values - np.float32(white))).astype(values.dtype)


def cmyk_to_rgb(values: np.ndarray, icc_profile: bytes | None) -> np.ndarray:
    """(H, W, 4) CMYK -> (H, W, 3) sRGB, through the profile where there is a usable one."""
    return _through_profile(Image.fromarray(values, mode="CMYK"), "RGB", icc_profile)


def rgb_to_cmyk(values: np.ndarray, icc_profile: bytes | None) -> np.ndarray:
    """(H, W, 3) sRGB -> (H, W, 4) CMYK, the inverse of `cmyk_to_rgb` as far as inks allow."""
    return _through_profile(Image.fromarray(values), "CMYK", icc_profile)


def _through_profile(image: Image.Image, mode: str, icc_profile: bytes | None) -> np.ndarray:
    if icc_profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            inks = ImageCms.ImageCmsProfile(BytesIO(icc_profile))
            screen = ImageCms.createProfile("sRGB")
            source, target = (inks, screen) if mode == "RGB" else (screen, inks)
            return np.array(ImageCms.profileToProfile(image, source, target, outputMode=mode))
    return np.array(image.convert(mode))


def from_rgb(picture: Picture, rgb: np.ndarray) -> np.ndarray:
    """(h, W, 3) RGB in the depth of the picture -> its own kind of pixels."""
    if picture.is_cmyk:
        return rgb_to_cmyk(rgb, picture.icc_profile)
    if picture.values.ndim == 3:
        return rgb
    grey = rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)  # Rec. 601
    return np.rint(grey).astype(rgb.dtype)


def blend(picture: Picture, painted: np.ndarray, weight: np.ndarray) -> Picture:
    """Put `painted` over the picture: where `weight` is 0 every value stays what it is.

    painted: (H, W, 3) RGB in the depth of the picture; weight: (H, W) uint8, 255: all new.
    """
    values = np.empty_like(picture.values)
    for rows in row_bands(len(values)):
        old = picture.values[rows].astype(np.float32)
        new = from_rgb(picture, painted[rows])
        share = weight[rows].astype(np.float32) / 255
        share = share if old.ndim == 2 else share[:, :, None]
        values[rows] = np.rint(old + share * (new - old))
    if picture.bilevel:
        values = np.where(values < 128, 0, 255).astype(np.uint8)
    return replace(picture, values=values)


def as_picture(image: "Picture | Image.Image | np.ndarray | str | Path", **options) -> Picture:
    """A picture from a path (its first page), a Pillow image or an RGB array (H, W, 3) uint8.

    `options` as `read_pages` takes them. Raises ValueError for anything else.
    """
    if isinstance(image, Picture):
        return image
    if isinstance(image, str | Path):
        return next(read_pages(image, **options))
    if isinstance(image, Image.Image):
        return _from_pillow(image, "image")
    if not isinstance(image, np.ndarray):
        raise ValueError(f"an image is a path, a Pillow image or an array, not {type(image)}")
    if image.dtype != np.uint8 or image.shape[2:] != (3,) or not image.size:
        raise ValueError(f"array {image.dtype} {image.shape}: expected uint8 (H, W, 3) RGB")
    return Picture("image", np.ascontiguousarray(image))


def read_pages(path: str | Path, max_pixels: int = MAX_PIXELS) -> Iterator[Picture]:
    """Read a file: every page of a TIFF, the first frame of an animation, upright.

    Raises ValueError with the path for a file that is missing, damaged, no image, or of more than
    `max_pixels` pixels.
    """
    path = Path(path)
    try:
        with _without_pillow_limit(), Image.open(path) as image:
            yield from _pages(path, image, max_pixels)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ValueError(f"{path}: is a folder, not an image") from None
    except UnidentifiedImageError:
        empty, unknown = path.stat().st_size == 0, "not an image of a kind that can be read"
        raise ValueError(f"{path}: {'is empty' if empty else unknown}") from None
    except PictureError:
        raise
    except Exception as error:  # decoders meet damage with whatever they stumble over
        text = str(getattr(error, "strerror", None) or error)
        reason = " ".join(text.split()) or type(error).__name__
        raise ValueError(f"{path}: cannot read this image ({reason})") from None


class PictureError(ValueError):
    """A picture that cannot be used; the message names the file."""


@contextlib.contextmanager
def _without_pillow_limit() -> Iterator[None]:
    """Pillow's limit is one for the whole process; ours is checked before pixels are decoded."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _pages(path: Path, image: Image.Image, max_pixels: int) -> Iterator[Picture]:
    frames = getattr(image, "n_frames", 1)
    pages = frames if image.format == "TIFF" else 1
    notes = () if pages == frames else (f"animation of {frames} frames: the first one is used",)
    if image.format == "MPO":  # a camera's JPEG with a preview beside it
        notes = ()
    for page in range(pages):
        image.seek(page)
        _check_size(path, image, max_pixels)
        name = path.stem if pages == 1 else f"{path.stem}.page{page + 1}"
        deep = _depth(path, image) == 16
        if deep and (image.format == "TIFF" or not image.mode.startswith("I;16")):
            picture = _read_deep(path, image, page, name)
        else:
            image.load()
            picture = _from_pillow(image, name, path)
        yield replace(picture, format=image.format, notes=notes)


def _check_size(path: Path, image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise PictureError(
            f"{path}: {width} x {height} pixels are more than the limit of {max_pixels}, "
            "see --max_pixels"
        )


def _depth(path: Path, image: Image.Image) -> int:
    """Bits of a channel in the file, which Pillow hides for colour."""
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24]
    if image.format == "TIFF":
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (8,)))
    return 8


def _read_deep(path: Path, image: Image.Image, page: int, name: str) -> Picture:
    """16-bit colour, which Pillow would cut to 8 bits."""
    orientation = image.getexif().get(ORIENTATION, 1)
    if image.format == "TIFF":
        array, is_upright = _deep_tiff(path, page)
        orientation = 1 if is_upright else orientation
    else:
        array = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        if array is None:
            raise PictureError(f"{path}: cannot read this image (16-bit pixels are damaged)")
        order = {1: [0], 2: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}  # OpenCV has BGR and BGRA
        array = np.atleast_3d(array)
        array = array[:, :, order[array.shape[2]]]
        array = array[:, :, [0, 3]] if image.mode == "LA" else array
    array = upright(array, orientation)
    values = np.ascontiguousarray(array[:, :, 0] if array.shape[2] < 3 else array[:, :, :3])
    alpha = np.ascontiguousarray(array[:, :, -1]) if array.shape[2] in (2, 4) else None
    return Picture(name, values, alpha, icc_profile=image.info.get("icc_profile"))


def _deep_tiff(path: Path, page: int) -> tuple[np.ndarray, bool]:
    """(H, W, C) grey, RGB or RGBA, and whether it is upright already."""
    with tifffile.TiffFile(path) as file:
        tags = file.pages[page]
        kinds = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)
        if tags.dtype != np.uint16 or tags.photometric not in kinds:
            raise PictureError(f"{path}: {tags.dtype} pixels of this kind are not supported")
        by_channel = tags.axes == "SYX"
        # OpenCV knows LZW, but mistakes pixels that are stored channel by channel.
        if tags.compression == tifffile.COMPRESSION.LZW and not by_channel:
            return _deep_lzw_tiff(path, page), True
        array = tags.asarray()
    return np.atleast_3d(array.transpose(1, 2, 0) if by_channel else array), False


def _deep_lzw_tiff(path: Path, page: int) -> np.ndarray:
    content = np.fromfile(path, np.uint8)
    done, found = cv2.imdecodemulti(content, cv2.IMREAD_UNCHANGED, range=(page, page + 1))
    if not done or found[0].dtype != np.uint16:
        raise PictureError(f"{path}: cannot read this image (16-bit pixels are damaged)")
    array = np.atleast_3d(found[0])
    return array if array.shape[2] == 1 else array[:, :, [2, 1, 0, 3][: array.shape[2]]]


def _from_pillow(image: Image.Image, name: str, path: Path | str = "image") -> Picture:
    orientation = image.getexif().get(ORIENTATION, 1)
    icc_profile = image.info.get("icc_profile")
    if image.mode in ("F", "I", "LAB"):
        raise PictureError(f"{path}: pixels of mode {image.mode!r} are not supported")
    if image.mode.startswith("I;16"):
        values = np.array(image).astype(np.uint16)
        return Picture(name, upright(values, orientation), icc_profile=icc_profile)
    bilevel = image.mode == "1"
    transparent = image.has_transparency_data
    grey = image.mode in ("1", "L", "LA", "La")
    kinds = {(True, True): "LA", (True, False): "L", (False, True): "RGBA", (False, False): "RGB"}
    mode = "CMYK" if image.mode == "CMYK" else kinds[grey, transparent]
    array = upright(np.array(image.convert(mode)), orientation)
    alpha = None
    if transparent and mode != "CMYK":
        alpha = np.ascontiguousarray(array[:, :, -1])
        array = array[:, :, 0] if grey else array[:, :, :3]
    return Picture(name, np.ascontiguousarray(array), alpha, bilevel, icc_profile)


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turn (H, W) or (H, W, C) as stored into how an EXIF orientation (1 to 8) wants it shown."""
    transposed, rows, columns = TURNS.get(orientation, (False, False, False))
    turned = array.swapaxes(0, 1) if transposed else array
    turned = turned[::-1] if rows else turned
    return np.ascontiguousarray(turned[:, ::-1] if columns else turned)


def output_suffix(picture: Picture, kind: str) -> str:
    """Suffix for `--format`: png, jpg, webp, or same; png where we do not write the same."""
    return SAME.get(picture.format, "png") if kind == "same" else kind


def write_pictures(pictures: list[Picture], path: Path) -> None:
    """Write one picture, or the pages of a TIFF, in the format that the suffix names.

    The file appears complete or not at all. JPEG has no alpha and shows white in its place; PNG
    and WebP have no CMYK; only PNG and TIFF have 16 bits.
    """
    suffix = path.suffix[1:]
    with atomic_path(path) as temporary:
        if suffix == "tif":
            _write_tiff(pictures, temporary)
        elif pictures[0].values.dtype == np.uint16 and suffix == "png":
            temporary.write_bytes(_deep_png(pictures[0]))
        else:
            _write_pillow(pictures[0], temporary, suffix)


def _write_pillow(picture: Picture, path: Path, suffix: str) -> None:
    picture = to_8_bit(picture)
    options: dict = {"format": {"jpg": "JPEG"}.get(suffix, suffix.upper())}
    if suffix == "jpg":
        options |= {"quality": 95, "subsampling": 0}
        picture = replace(picture, alpha=None, values=_on_white(picture))
    elif picture.is_cmyk:
        picture = replace(picture, values=picture.rgb(), icc_profile=None)
    if suffix == "webp":
        options |= {"lossless": True, "exact": True}
    values = picture.values
    if picture.alpha is not None:
        values = np.dstack([values, picture.alpha])
    mode = {2: "L", 3: {2: "LA", 3: "RGB", 4: "CMYK" if picture.is_cmyk else "RGBA"}}[values.ndim]
    mode = mode if isinstance(mode, str) else mode[values.shape[2]]
    image = Image.fromarray(values, mode=mode)
    if picture.bilevel and suffix == "png":
        image = image.convert("1", dither=Image.Dither.NONE)
    image.save(path, icc_profile=picture.icc_profile, **options)


def to_8_bit(picture: Picture) -> Picture:
    """The picture itself, or with its 16 bits rounded down to 8."""
    if picture.values.dtype == np.uint8:
        return picture
    alpha = None if picture.alpha is None else (picture.alpha // 257).astype(np.uint8)
    return replace(picture, values=(picture.values // 257).astype(np.uint8), alpha=alpha)


def _on_white(picture: Picture) -> np.ndarray:
    if picture.alpha is None:
        return picture.values
    seen = picture.rgb()
    return seen if picture.values.ndim == 3 else np.ascontiguousarray(seen[:, :, 0])


def _deep_png(picture: Picture) -> bytes:
    """16-bit PNG by OpenCV, with the profile put in: Pillow writes 8-bit colour only."""
    values = picture.values
    if values.ndim == 2 and picture.alpha is not None:
        values = np.repeat(values[:, :, None], 3, axis=2)  # OpenCV has no grey with alpha
    if values.ndim == 3:
        values = values[:, :, ::-1]
        if picture.alpha is not None:
            values = np.dstack([values, picture.alpha])
    content = cv2.imencode(".png", np.ascontiguousarray(values))[1].tobytes()
    if not picture.icc_profile:
        return content
    body = b"iCCP" + b"ICC profile\0\0" + zlib.compress(picture.icc_profile)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    header = 33  # signature and IHDR, which the profile must follow
    return content[:header] + chunk + content[header:]


def _write_tiff(pictures: list[Picture], path: Path) -> None:
    with tifffile.TiffWriter(path) as file:
        for picture in pictures:
            values = picture.values
            if picture.alpha is not None:
                values = np.dstack([values, picture.alpha])
            if picture.bilevel:
                values = values > 0
            photometric = "separated" if picture.is_cmyk else "rgb"
            file.write(
                values,
                photometric=photometric if picture.values.ndim == 3 else "minisblack",
                extrasamples=None if picture.alpha is None else ["unassalpha"],
                compression=None if picture.bilevel else "zlib",
                iccprofile=picture.icc_profile,
                contiguous=False,
                metadata=None,
            )
