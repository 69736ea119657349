"""Opening image files with the readers of known formats only, in bounded memory."""

import zlib
from pathlib import Path
from typing import IO

from PIL import Image, TiffImagePlugin

# Pillow chooses its reader by content, not by name, and the one of EPS starts Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "HEIF")
MAX_TILE = 2**24  # pixels of a TIFF tile, which is decoded as a whole
TILE_WIDTH, TILE_LENGTH, IMAGE_DEPTH, TILE_DEPTH = 322, 323, 32997, 32998  # TIFF tags
CHUNK = 2**20  # bytes of output per step


class PictureError(ValueError):
    """A picture that cannot be used; the message names the file."""


def open_image(file: str | Path | IO[bytes]) -> Image.Image:
    """Open an image of `FORMATS` as `Image.open` does, which decodes nothing yet.

    Raises as `Image.open`, and PictureError as `check_tiff`.
    """
    Image.init()  # AVIF and HEIF are optional
    if isinstance(file, Path):
        file = str(file)  # old releases of Pillow resolve a path, and fail at a circle of links
    image = Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
    try:
        check_tiff(image)
    except PictureError:
        image.close()
        raise
    return image


def check_tiff(image: Image.Image) -> None:
    """Raise PictureError for a TIFF page whose decoding may take more memory than its pixels."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return
    width, length = _number(image, TILE_WIDTH), _number(image, TILE_LENGTH)
    if width * length > MAX_TILE:
        raise PictureError(f"tiles of {width} x {length} pixels are too large")
    depth = max(_number(image, IMAGE_DEPTH), _number(image, TILE_DEPTH))
    if depth > 1:
        raise PictureError(f"a volume of {depth} layers is not supported")


def _number(image: TiffImagePlugin.TiffImageFile, tag: int) -> int:
    value = image.tag_v2.get(tag, 1)
    if not isinstance(value, int):
        raise PictureError(f"TIFF tag {tag} is damaged")
    return value


def inflates_within(content: bytes, limit: int) -> bool:
    """Whether a zlib stream holds at most `limit` bytes; raises zlib.error for a damaged one."""
    stream, size = zlib.decompressobj(), 0
    while content and not stream.eof and size <= limit:
        size += len(stream.decompress(content, CHUNK))
        content = stream.unconsumed_tail
    return size <= limit
