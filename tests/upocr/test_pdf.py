"""PDF: pages in, pages out, and files that attack their reader."""

import sys

import numpy as np
import pytest
from hostile import documents
from own_images import Painter
from PIL import Image

from upocr import UPOCR, pdf, pdf_writer
from upocr.inputs import Input
from upocr.picture import FileInMemory, open_pages, read_pages
from upocr.workload import Workload

pytest.importorskip("pypdfium2", reason='needs the extra "pdf"')

PAGES = [(72, 144), (200, 50)]  # points
STROKE = "1 0 0 rg 10 20 30 10 re f"  # red, 10 points from the left and 20 from the bottom


@pytest.fixture
def paper(tmp_path):
    """Two pages of different size, each with a red bar."""
    contents = f"<< /Length {len(STROKE)} >>\nstream\n{STROKE}\nendstream"
    pages = [f"{documents.box(*size)} /Contents 5 0 R" for size in PAGES]
    return documents.pdf(tmp_path / "paper.pdf", pages, [contents])


def test_pages_are_drawn_at_a_resolution(paper):
    pictures = list(read_pages(paper, dpi=144))
    assert [picture.name for picture in pictures] == ["paper.page1", "paper.page2"]
    assert [picture.size for picture in pictures] == [(288, 144), (100, 400)]
    assert [picture.points for picture in pictures] == PAGES
    for picture in pictures:
        red = (picture.values == (255, 0, 0)).all(axis=2)
        rows, columns = np.nonzero(red)
        bottom = picture.size[0]
        assert (columns.min(), columns.max() + 1) == (20, 80)
        assert (bottom - rows.max() - 1, bottom - rows.min()) == (40, 60)
        assert (picture.values[~red] == 255).all()
    assert [page.size for page in open_pages(paper)] == [(400, 200), (139, 556)]  # of 200 dpi


def test_pdf_is_known_by_its_content(paper):
    found = FileInMemory("scan.png", paper.read_bytes())
    assert [picture.size for picture in read_pages(found, dpi=72)] == [(144, 72), (50, 200)]


def test_written_pages_are_read_again_without_loss(tmp_path):
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (50, 30, 3), np.uint8), rng.integers(0, 256, (20, 40), np.uint8)]
    sheets = []
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(tmp_path / f"{number}.png")
        points = (array.shape[1] / 2, array.shape[0] / 2)
        sheets.append(pdf_writer.Sheet(tmp_path / f"{number}.png", points))
    with (tmp_path / "out.pdf").open("wb") as file:
        pdf_writer.write_pdf(sheets, file)
    found = list(read_pages(tmp_path / "out.pdf", dpi=144))
    np.testing.assert_array_equal(found[0].values, arrays[0])
    np.testing.assert_array_equal(found[1].values, np.dstack([arrays[1]] * 3))
    assert [picture.points for picture in found] == [sheet.points for sheet in sheets]


HOSTILE = {
    "encrypted": (documents.encrypted, "is encrypted"),
    "a million pages": (lambda path: documents.claims_pages(path, 10**6), "has 1000000 pages"),
    "pages that are not there": (
        lambda path: documents.claims_pages(path, 9),
        "cannot read this PDF",
    ),
    "a page of kilometres": (
        lambda path: documents.blank(path, 1, (10**7, 10**7)),
        "27777778 x 27777778 pixels are more than the limit .*, see --max_pixels and --dpi",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_are_one_line(tmp_path, name):
    write, message = HOSTILE[name]
    path = write(tmp_path / "x.pdf")
    with pytest.raises(ValueError, match=message) as error:
        for _ in read_pages(path):
            pass
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9])
def test_truncated_documents_are_one_line_or_repaired(tmp_path, paper, part):
    content = paper.read_bytes()
    paper.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ValueError, match=r"paper\.pdf: (cannot read this PDF|not an image)"):
        list(read_pages(paper))


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")
def test_a_page_that_is_never_drawn_ends(tmp_path, monkeypatch):
    """A few kilobytes draw ten billion rectangles."""
    path = documents.nested_forms(tmp_path / "x.pdf", levels=10, fan=10)
    assert path.stat().st_size < 10_000
    limits = "import upocr.pdf_reader as r; r.MEMORY = 2**29; r.main()"
    start = pdf.subprocess.Popen

    def limited(command, **options):
        return start([command[0], "-c", limits, *command[3:]], **options)

    monkeypatch.setattr(pdf.subprocess, "Popen", limited)
    with pytest.raises(ValueError, match=r"x\.pdf: page 1 takes too much time or memory"):
        next(read_pages(path))


def test_the_reader_ends_with_the_file(paper, monkeypatch):
    started, start = [], pdf.subprocess.Popen

    def noted(*arguments, **options):
        started.append(start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(pdf.subprocess, "Popen", noted)
    pages = read_pages(paper)
    next(pages)
    assert started[0].poll() is None
    pages.close()
    assert started[0].poll() is not None


def test_too_many_windows_are_refused_before_any_work(tmp_path):
    path = documents.blank(tmp_path / "book.pdf", 3000, (72, 72))
    painter = Painter()
    painter.predict = None  # nothing is to be predicted
    workload = Workload(UPOCR(painter), ("text_removal",), {}, max_windows=100, dpi=72)
    with pytest.raises(ValueError, match=r"book\.pdf: the first \d+ pages alone need \d+ windows"):
        next(workload.pages(Input(path)))
