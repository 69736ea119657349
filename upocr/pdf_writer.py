"""Pictures as the pages of a new PDF."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image


@dataclass(frozen=True)
class Sheet:
    """A page to be written.

    Args:
        path: of its pixels, PNG or JPEG, which are stored as they are.
        points: width and height of the page.
    """

    path: Path
    points: tuple[float, float]


def write_pdf(sheets: Iterable[Sheet], file: BinaryIO) -> None:
    """Write a PDF, one picture per page; no more than one is in memory."""
    writer = _Writer(file)
    catalog, tree = writer.reserve(), writer.reserve()
    pages = []
    for sheet in sheets:
        picture = writer.add(*_embedded(sheet.path))
        width, height = (f"{side:.3f}" for side in sheet.points)
        drawing = f"{width} 0 0 {height} 0 0 cm /P Do".encode()
        content = writer.add("", drawing)
        pages.append(
            writer.add(
                f"/Type /Page /Parent {tree} 0 R /MediaBox [0 0 {width} {height}] "
                f"/Resources << /XObject << /P {picture} 0 R >> >> /Contents {content} 0 R"
            )
        )
    kids = " ".join(f"{page} 0 R" for page in pages)
    writer.add(f"/Type /Pages /Count {len(pages)} /Kids [{kids}]", number=tree)
    writer.add(f"/Type /Catalog /Pages {tree} 0 R", number=catalog)
    writer.finish(catalog)


class _Writer:
    """Numbered objects one after another, and where each of them begins."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._places = file, [0]
        self._position = 0
        self._write(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n")

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self._position += len(content)

    def reserve(self) -> int:
        """The number of an object that is added later."""
        self._places.append(0)
        return len(self._places) - 1

    def add(self, entries: str, stream: bytes | None = None, number: int = 0) -> int:
        """Write a dictionary, or a stream with its dictionary, and return its number."""
        number = number or self.reserve()
        self._places[number] = self._position
        if stream is None:
            self._write(f"{number} 0 obj\n<< {entries} >>\nendobj\n".encode())
        else:
            head = f"{number} 0 obj\n<< {entries} /Length {len(stream)} >>\nstream\n"
            self._write(head.encode() + stream + b"\nendstream\nendobj\n")
        return number

    def finish(self, catalog: int) -> None:
        """Write the table of the objects."""
        start, count = self._position, len(self._places)
        rows = "".join(f"{place:010d} 00000 n \n" for place in self._places[1:])
        trailer = f"trailer\n<< /Size {count} /Root {catalog} 0 R >>\nstartxref\n{start}\n%%EOF\n"
        self._write(f"xref\n0 {count}\n0000000000 65535 f \n{rows}{trailer}".encode())


def _embedded(path: Path) -> tuple[str, bytes]:
    """A PNG without alpha or palette, or a JPEG: dictionary and stream of a PDF picture."""
    with Image.open(path, formats=["PNG", "JPEG"]) as image:
        (width, height), kind, mode = image.size, image.format, image.mode
    channels = {"L": 1, "RGB": 3}[mode]
    space = "/DeviceGray" if channels == 1 else "/DeviceRGB"
    entries = f"/Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace {space}"
    entries += " /BitsPerComponent 8 /Filter "
    if kind == "JPEG":
        return entries + "/DCTDecode", path.read_bytes()
    rows = f"/Predictor 15 /Colors {channels} /BitsPerComponent 8 /Columns {width}"
    return f"{entries}/FlateDecode /DecodeParms << {rows} >>", _deflated(path.read_bytes())


def _deflated(content: bytes) -> bytes:
    """The pixels of a PNG, which PDF packs in the same way."""
    found, place = [], 8
    while place < len(content):
        size, kind = (
            int.from_bytes(content[place : place + 4], "big"),
            content[place + 4 : place + 8],
        )
        if kind == b"IDAT":
            found.append(content[place + 8 : place + 8 + size])
        place += 12 + size
    return b"".join(found)
