"""A server in a thread of the tests, and pictures for it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from own_images import Painter
from PIL import Image

from upocr import UPOCR


class Gate(Painter):
    """A painter that waits at every step until `opened`, and counts its steps."""

    def __init__(self) -> None:
        self.opened, self.entered = threading.Event(), threading.Event()
        self.steps = 0

    def predict(self, images, tasks):
        self.steps += 1
        self.entered.set()
        assert self.opened.wait(60)
        return super().predict(images, tasks)


@dataclass
class Running:
    """A server that runs.

    Args:
        url: without a slash at its end.
        port: of the server.
        model: that answers.
        worker: its line of requests.
    """

    url: str
    port: int
    model: UPOCR
    worker: object = field(repr=False)


@contextmanager
def running(model: UPOCR, **limits) -> Iterator[Running]:
    """A server on a free port."""
    from upocr.server.limits import Limits  # noqa: PLC0415
    from upocr.server.serve import build_server  # noqa: PLC0415

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = build_server(model, "127.0.0.1", port, Limits(**limits))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Running(f"http://127.0.0.1:{port}", port, model, server.worker)
        finally:
            server.should_exit = True
            gate = getattr(model.backend, "opened", None)
            if gate:
                gate.set()
            thread.join()
            server.worker.close()


def noise_with_text(height: int = 150, width: int = 200, seed: int = 0) -> np.ndarray:
    """Noise without bright red, and red blocks as text."""
    image = np.random.default_rng(seed).integers(30, 200, (height, width, 3), np.uint8)
    image[height // 4 : height // 4 + 10, width // 4 : width // 2] = (255, 0, 0)
    image[height // 2 : height // 2 + 8, 5:30] = (255, 0, 0)
    return image


def encoded(image: np.ndarray, format: str = "PNG", **options) -> bytes:
    """The content of an image file."""
    file = BytesIO()
    Image.fromarray(image).save(file, format, **options)
    return file.getvalue()
