"""Draws docs/page_states.png, the states of the web page: `python tests/page_pictures.py`.

It needs Chromium and its driver, as `tests/upocr/server/test_page.py` does.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT), str(ROOT / "tests")]

from browser import Browser, open_browser  # noqa: E402
from own_server import running  # noqa: E402
from page_user import READY, choose, drop  # noqa: E402

from upocr import UPOCR  # noqa: E402

TARGET = ROOT / "docs" / "page_states.png"
DESKTOP, PHONE = (960, 600), (320, 600)
GAP, BORDER = 16, (208, 208, 208)
SAMPLES = ROOT / "upocr/server/static/samples"


class Slow:
    """A back end that sleeps before its third step.

    Args:
        backend: computes.
    """

    def __init__(self, backend: Any) -> None:
        self.backend, self.steps = backend, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def predict(self, *arguments: Any, **options: Any) -> np.ndarray:
        """See `upocr.backends`."""
        self.steps += 1
        if self.steps == 3:
            time.sleep(20)  # longer than the screenshot takes
        return self.backend.predict(*arguments, **options)


def result(page: Browser, sample: str, task: str) -> None:
    """The page with the result of a task."""
    drop(page, (SAMPLES / f"{sample}.jpg").read_bytes(), f"{sample}.jpg")
    page.wait(READY)
    choose(page, f"input[value={task}]")


def problem(page: Browser) -> None:
    """The page after a file that is no picture."""
    drop(page, b"no picture", "notes.txt")
    page.wait_visible("error")


def progress(page: Browser, model: UPOCR) -> None:
    """The page while a picture is half done."""
    model.backend = Slow(model.backend)
    drop(page, (SAMPLES / "street.jpg").read_bytes(), "street.jpg")
    page.wait("/[1-9]\\d* %/.test(document.getElementById('busy-text').textContent)")


def shot(
    page: Browser, url: str, size: tuple[int, int], scheme: str, state: Callable
) -> np.ndarray:
    """A picture of the window, (H, W, 3) uint8, with a frame."""
    page.resize(*size, mobile=size == PHONE)
    page.use_scheme(scheme)
    page.open(url)
    page.wait("document.querySelectorAll('#samples img').length === 3")
    page.wait("[...document.images].every((image) => image.complete)")
    state(page)
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        page.screenshot(Path(file.name))
        pixels = np.array(Image.open(file.name).convert("RGB"))
    pixels[[0, -1]] = pixels[:, [0, -1]] = BORDER
    return pixels


def row(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures of one height side by side."""
    gap = np.full((len(pictures[0]), GAP, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], 1)


def main() -> None:
    """Draw all states and write the picture."""
    model = UPOCR.from_pretrained(batch_size=1)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_browser(Path(folder)) as page,
        running(model) as server,
    ):

        def desktop(state: Callable, scheme: str = "light") -> np.ndarray:
            return shot(page, server.url, DESKTOP, scheme, state)

        def phone(state: Callable, scheme: str = "light") -> np.ndarray:
            return shot(page, server.url, PHONE, scheme, state)

        rows = [
            [
                desktop(lambda page: result(page, "street", "remove")),
                desktop(lambda page: result(page, "sign", "segment"), "dark"),
                phone(lambda page: result(page, "sign", "remove"), "dark"),
            ],
            [
                desktop(lambda page: result(page, "page", "detect")),
                phone(problem),
                desktop(lambda page: progress(page, model)),  # the last, as it stops the model
            ],
        ]
    first, second = map(row, rows)
    gap = np.full((GAP, first.shape[1], 3), 255, np.uint8)
    sheet = Image.fromarray(np.concatenate([first, gap, second]))
    sheet.quantize(256, dither=Image.Dither.NONE).save(TARGET, optimize=True)
    print(f"{TARGET}: {sheet.width} x {sheet.height}")


if __name__ == "__main__":
    main()
