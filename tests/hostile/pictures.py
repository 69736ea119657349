"""Pictures that attack their reader; every function writes one and returns its path."""

import struct
import zlib
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

SIDE = 64
MARK = "ghostscript-ran"


def encapsulated_postscript(path: Path) -> Path:
    """An EPS under the name of a PNG; its program would write a file beside it."""
    body = (
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n"
        f"({path.with_name(MARK)}) (w) file closefile showpage\n%%EOF\n"
    )
    path.write_bytes(body.encode())
    return path


def other_format(path: Path, kind: str) -> Path:
    """A sound picture of a format that nobody asked for, under the name of a PNG."""
    Image.new("RGB", (SIDE, SIDE)).save(path, kind)
    return path


def tiff(path: Path, tags: dict[int, tuple[str, int]], strip: bytes) -> Path:
    """A little-endian TIFF of one strip from its definition, so that no writer corrects it.

    tags: number -> type (`H` or `I`) and value; the strip's place and size are added.
    """
    entries = dict(tags) | {279: ("I", len(strip))}
    start = 8 + 2 + 12 * (len(entries) + 1) + 4
    entries[273] = ("I", start)
    body = struct.pack("<H", len(entries))
    for number, (kind, value) in sorted(entries.items()):
        body += struct.pack("<HHI", number, {"H": 3, "I": 4}[kind], 1)
        body += struct.pack(f"<{kind}", value).ljust(4, b"\0")
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + body + bytes(4) + strip)
    return path


def grey(bits: int, **others: int) -> dict[int, tuple[str, int]]:
    """Tags of a deflated grey picture; `others` by the names below."""
    numbers = {"depth": 32997, "tile_width": 322, "tile_length": 323, "tile_depth": 32998}
    tags = {256: ("I", SIDE), 257: ("I", SIDE), 258: ("H", bits), 259: ("H", 8), 262: ("H", 1)}
    tags |= {277: ("H", 1), 278: ("I", SIDE)}
    return tags | {numbers[name]: ("I", value) for name, value in others.items()}


def inflating_strip(path: Path, size: int) -> Path:
    """A 16-bit TIFF of 64 x 64 pixels whose strip holds `size` bytes."""
    return tiff(path, grey(16), zlib.compress(bytes(size), 9))


def volume(path: Path, depth: int, bits: int = 16) -> Path:
    """A TIFF of 64 x 64 pixels and `depth` layers."""
    return tiff(path, grey(bits, depth=depth), zlib.compress(bytes(SIDE * SIDE * bits // 8), 9))


def large_tile(path: Path, side: int, bits: int) -> Path:
    """A TIFF of 64 x 64 pixels in one tile of `side` x `side`."""
    tags = grey(bits, tile_width=side, tile_length=side)
    tags.pop(278)
    content = zlib.compress(bytes(10**6), 9)
    path = tiff(path, tags, content)
    raw = path.read_bytes()  # strips' tags -> tiles' tags
    for strip, tile in ((273, 324), (279, 325)):
        raw = raw.replace(struct.pack("<HH", strip, 4), struct.pack("<HH", tile, 4), 1)
    path.write_bytes(raw)
    return path


def sound_tiff(path: Path, **options: object) -> np.ndarray:
    """A 16-bit TIFF in several strips, and its pixels."""
    array = np.random.default_rng(0).integers(0, 2**16, (SIDE, SIDE, 3), np.uint16)
    tifffile.imwrite(path, array, photometric="rgb", rowsperstrip=7, **options)
    return array
