"""How much work a file is: said before it begins, refused if it is too much."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from upocr.inputs import Input
from upocr.pdf import DPI
from upocr.picture import Picture, open_pages, read_pages
from upocr.predictor import UPOCR
from upocr.quote import printable

MAX_WINDOWS = 20_000  # an hour or two on a few cores
MANY = 200  # windows from which a file is announced


@dataclass
class Workload:
    """Reads the pages of files whose work is within a limit.

    Args:
        model: what does the work.
        tasks: of every page.
        run_options: further arguments of `UPOCR.run`.
        max_windows: files of more windows are refused.
        dpi: pixels per inch of a PDF.
    """

    model: UPOCR
    tasks: tuple[str, ...]
    run_options: dict[str, Any]
    max_windows: int = MAX_WINDOWS
    dpi: int = DPI
    _counts: dict[Path, tuple[int, int]] = field(default_factory=dict, init=False)  # by file

    def pages(self, found: Input) -> Iterator[Picture]:
        """The pages of a file.

        Raises ValueError as `read_pages`, and before any work if a file needs too many windows.
        """
        pages, windows = 0, 0
        for page in open_pages(found.path, self.model.max_pixels, self.dpi):
            pages, windows = pages + 1, windows + self.model.num_windows(page.size)
            if windows > self.max_windows:
                which = f"the first {pages} pages alone need" if pages > 1 else "needs"
                raise ValueError(
                    f"{found.path}: {which} {windows} windows of the network, the limit is "
                    f"{self.max_windows}, see --max_windows"
                )
        self._counts[found.path] = pages, windows
        yield from read_pages(found.path, self.model.max_pixels, self.dpi, found.name)

    def announce(self, found: Input) -> None:
        """Say on standard error how long a file will take if it is long; `pages` has begun.

        To be called by the thread that runs the model, which is measured.
        """
        pages, windows = self._counts.pop(found.path, (0, 0))
        if windows >= MANY:
            many = f"{pages} pages, " if pages > 1 else ""
            duration = _duration(windows * self.seconds_per_window)
            message = f"{found.path}: {many}{windows} windows, {duration}"
            tqdm.write(printable(message), file=sys.stderr)

    @cached_property
    def seconds_per_window(self) -> float:
        """Measured on a blank window, after one that warms up."""
        side = self.model.window
        blank = np.full((side, side, 3), 255, np.uint8)
        for _ in range(2):
            start = time.perf_counter()
            self.model.run(blank, self.tasks, **self.run_options | {"region": None})
        return (time.perf_counter() - start) / self.model.num_windows((side, side))


def _duration(seconds: float) -> str:
    """About how long, in words."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return "about a minute"
    return f"about {minutes} minutes" if minutes < 90 else f"about {minutes / 60:.1f} hours"
