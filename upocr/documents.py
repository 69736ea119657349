"""One file of several pages: the pictures without text of all pages of an input."""

from dataclasses import dataclass, field
from pathlib import Path

from upocr.files import atomic_path
from upocr.pdf_writer import Sheet, write_pdf
from upocr.picture import Picture, output_suffix, read_pages, write_pictures

PDF, TIFF = "pdf", "tif"


@dataclass
class Document:
    """Collects pages that are on disk; see `add` and `write`.

    Args:
        folder: of the results.
        name: which the name of the file begins with.
        format: of pictures without text: png, jpg, webp or same.
    """

    folder: Path
    name: str
    format: str
    _suffix: str = field(default="", init=False)
    _sheets: list[Sheet] = field(default_factory=list, init=False)

    def names(self, picture: Picture) -> list[str]:
        """The name of the file that this page becomes a part of; none if it stays alone.

        Pages of a PDF become a PDF; those of a TIFF become a TIFF where the format is `same`.
        """
        if picture.format == "PDF":
            self._suffix = PDF
        elif picture.format == "TIFF" and picture.pages > 1 and self.format == "same":
            self._suffix = TIFF
        return [f"{self.name}.removed.{self._suffix}"] if self._suffix else []

    def add(self, picture: Picture) -> None:
        """Take a page, whose picture without text has been saved."""
        if self.names(picture):
            name = f"{picture.name}.removed.{output_suffix(picture, self.format)}"
            self._sheets.append(Sheet(self.folder / name, picture.points or (0, 0)))

    def write(self, max_pixels: int) -> tuple[list[str], list[str]]:
        """Write the file, one page in memory at a time.

        Returns the names of the files that are new, and of those that are gone: of a PDF, the
        pictures of single pages.
        """
        name, paths = f"{self.name}.removed.{self._suffix}", [each.path for each in self._sheets]
        if not paths:
            return [], []
        if self._suffix == TIFF:
            pages = (next(read_pages(path, max_pixels)) for path in paths)
            write_pictures(pages, self.folder / name)
            return [name], []
        with atomic_path(self.folder / name) as temporary, temporary.open("wb") as file:
            write_pdf(self._sheets, file)
        for path in paths:
            path.unlink()
        return [name], [path.name for path in paths]
