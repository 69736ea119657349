"""Pages of a PDF as pixels: an extra draws them, in a process of its own.

A page of a kilobyte may ask for more strokes than anybody can wait for. The process may use so much
time per page and so much memory, and what breaks it does not break this one.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import IO, Any

import numpy as np

from upocr.opening import PictureError

DPI = 200  # pixels per inch of a page
POINTS = 72  # of a page per inch
MOST_PAGES = 100_000  # a file of kilobytes may claim a million
HEAD = 1024  # bytes within which the signature may begin
SIGNATURE = b"%PDF-"
LIBRARY = "pypdfium2"


def is_pdf(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a PDF."""
    return SIGNATURE in head[:HEAD]


class PdfPages:
    """The pages of an open PDF; see `open_pdf`.

    Args:
        requests, answers: pipes to the process of `upocr.pdf_reader`.
        dpi: pixels per inch.
    """

    def __init__(self, requests: IO[bytes], answers: IO[bytes], dpi: int) -> None:
        self._requests, self._answers, self._scale = requests, answers, dpi / POINTS
        self._count = int(self._answer("this PDF")["pages"])
        if not 0 < self._count <= MOST_PAGES:
            raise PictureError(f"has {self._count} pages, expected 1 to {MOST_PAGES}")

    def __len__(self) -> int:
        return self._count

    def points(self, page: int) -> tuple[float, float]:
        """Width and height of a page as it is shown, in points."""
        width, height = self._ask({"size": page}, page)["points"]
        return width, height

    def size(self, page: int) -> tuple[int, int]:
        """Height and width of a page in pixels."""
        width, height = self.points(page)
        return ceil(height * self._scale), ceil(width * self._scale)

    def render(self, page: int) -> np.ndarray:
        """A page on white paper, (H, W, 3) uint8 RGB."""
        height, width = self.size(page)
        found = self._ask({"render": page, "scale": self._scale}, page)
        if found["shape"] != [height, width, 3]:
            raise PictureError(f"page {page + 1} contradicts its size")
        content = self._answers.read(height * width * 3)
        return np.frombuffer(bytearray(content), np.uint8).reshape(height, width, 3)

    def _ask(self, request: dict[str, Any], page: int) -> dict[str, Any]:
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()
        except OSError:  # the process has ended: there will be no answer
            pass
        return self._answer(f"page {page + 1}")

    def _answer(self, what: str) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise PictureError(f"{what} takes too much time or memory, or is damaged")
        answer = json.loads(line)
        if "error" in answer:
            raise PictureError(answer["error"])
        return answer


@contextmanager
def open_pdf(content: Path | bytes, dpi: int = DPI) -> Iterator[PdfPages]:
    """Open a PDF with its filled-in forms; raises PictureError with the reason where that fails."""
    if importlib.util.find_spec(LIBRARY) is None:
        raise PictureError('PDF needs pip install "upocr[pdf]"')
    command = [sys.executable, "-m", "upocr.pdf_reader"]
    command += [str(content.resolve())] if isinstance(content, Path) else []
    here = str(Path(__file__).resolve().parents[1])
    paths = [here, *filter(None, sys.path)]  # also where the parent found the library
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert process.stdin
    assert process.stdout
    try:
        if isinstance(content, bytes):
            process.stdin.write(len(content).to_bytes(8, "big") + content)
            process.stdin.flush()
        yield PdfPages(process.stdin, process.stdout, dpi)
    finally:
        process.kill()
        process.communicate()
