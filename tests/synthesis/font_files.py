"""Font files that tests build: Pillow's own glyphs under the code points of any script."""

import itertools
import struct
from collections.abc import Iterable
from pathlib import Path

from PIL import ImageFont

DIRECTORY, RECORD = 12, 16  # bytes of the header of an OpenType file and of one entry per table


def write_font(path: Path, characters: Iterable[str]) -> Path:
    """Write a TrueType font with one of the glyphs of Pillow's own font for every character."""
    tables = _tables(ImageFont.load_default(20).font_bytes)
    offsets = struct.unpack(f">{len(tables[b'loca']) // 2}H", tables[b"loca"])
    inked = [glyph for glyph in range(1, len(offsets) - 1) if offsets[glyph] < offsets[glyph + 1]]
    codes = sorted({ord(character) for character in characters})
    tables[b"cmap"] = _character_map(dict(zip(codes, itertools.cycle(inked), strict=False)))
    path.write_bytes(_font_file(tables))
    return path


def _tables(content: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">H", content, 4)
    records = [
        struct.unpack_from(">4sLLL", content, DIRECTORY + RECORD * number)
        for number in range(count)
    ]
    return {tag: content[start : start + length] for tag, _, start, length in records}


def _character_map(glyphs: dict[int, int]) -> bytes:
    """A `cmap` table of format 12: one group per code point."""
    groups = [struct.pack(">LLL", code, code, glyph) for code, glyph in glyphs.items()]
    header = struct.pack(">HHHHL", 0, 1, 3, 10, 12)  # one table, Windows, full Unicode
    size = 16 + 12 * len(groups)
    return header + struct.pack(">HHLLL", 12, 0, size, 0, len(groups)) + b"".join(groups)


def _font_file(tables: dict[bytes, bytes]) -> bytes:
    start = DIRECTORY + RECORD * len(tables)
    header, body = struct.pack(">LHHHH", 0x00010000, len(tables), 0, 0, 0), b""
    for tag, content in sorted(tables.items()):
        header += struct.pack(">4sLLL", tag, 0, start + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    return header + body
