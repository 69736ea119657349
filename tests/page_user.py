"""A user of the page in headless Chromium, and a picture with two words for it."""

import io

import numpy as np
from browser import Browser
from own_images import Painter
from own_server import noise_with_text
from PIL import Image

READY = "!document.getElementById('panel').inert"


class Doubtful(Painter):
    """The text on the left is certain, that on the right is not."""

    def predict(self, images, tasks):
        found = super().predict(images, tasks)
        if "text_segmentation" in tasks:
            at = list(tasks).index("text_segmentation")
            bright = images[:, 1:2] > 0.05  # red with a little green
            found[:, at] *= np.where(bright, np.float32(0.6), np.float32(1))
        return found


def two_words() -> np.ndarray:
    image = noise_with_text()
    image[20:30, 120:180] = (255, 20, 0)
    return image


def drop(page: Browser, content: bytes, name: str = "photo.png") -> None:
    """Drop a file onto the page."""
    page.run(
        """const file = new File([new Uint8Array(arguments[0])], arguments[1], {type: "image/png"});
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(file);
        for (const kind of ["dragover", "drop"])
          document.body.dispatchEvent(new DragEvent(kind, {dataTransfer, bubbles: true}));""",
        list(content),
        name,
    )


def choose(page: Browser, selector: str) -> None:
    """Click at a radio button or an option, which styles may cover."""
    page.run("document.querySelector(arguments[0]).click()", selector)


def set_threshold(page: Browser, value: float) -> None:
    page.run(
        """const slider = document.getElementById("threshold");
        slider.value = arguments[0];
        slider.dispatchEvent(new Event("input"));""",
        value,
    )


def set_format(page: Browser, value: str) -> None:
    page.run("document.getElementById('format').value = arguments[0]", value)


def shown(page: Browser) -> np.ndarray:
    """The result as the canvas shows it, at the double size, (150, 200, 3)."""
    page.run("document.getElementById('split').focus()")
    page.keys("\ue011")  # Home: the result covers the whole picture
    page.run("return new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")
    values = page.run(
        """const canvas = document.getElementById("view");
        const [left, top] = [(canvas.width - 400) / 2, (canvas.height - 300) / 2].map(Math.round);
        return [...canvas.getContext("2d").getImageData(left, top, 400, 300).data];"""
    )
    return np.array(values, np.uint8).reshape(300, 400, 4)[1::2, 1::2, :3]


def decoded(content: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(content)).convert("RGB"))


def on_picture(page: Browser, x: float, y: float) -> tuple[float, float]:
    """Point of the window over a point of the picture, which is fitted."""
    left, top, width, height = page.run(
        """const box = document.getElementById("view").getBoundingClientRect();
        return [box.left, box.top, box.width, box.height];"""
    )
    scale = min(2, width / 200, height / 150)
    return left + (width - 200 * scale) / 2 + x * scale, top + (
        height - 150 * scale
    ) / 2 + y * scale
