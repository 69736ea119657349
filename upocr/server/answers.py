"""From results to what a request asked for: one file, all files, or JSON."""

import base64
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from typing import Any
from urllib.parse import quote

import numpy as np

from upocr.composite import change_mask
from upocr.picture import Picture, encode_picture, from_rgb, output_suffix
from upocr.results import Result, TamperingDetection, TextRemoval, TextSegmentation
from upocr.server.information import LEAST_PROBABILITY

MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "tif": "image/tiff",
    "json": "application/json",
    "zip": "application/zip",
}
REMOVED_SUFFIXES = ("png", "jpg", "webp")
FILES_OF = {
    "text_removal": (*(f"removed.{each}" for each in REMOVED_SUFFIXES), "change.png"),
    "text_segmentation": ("mask.png", "probability.png", "cutout.png", "words.json"),
    "tampered_text_detection": ("classes.png", "regions.json"),
}
# Beside the picture without text, the command writes these (and overlays).
OF_COMMAND = ("mask.png", "probability.png", "words.json", "classes.png", "regions.json")

Encoders = Mapping[str, Callable[[], bytes]]  # ending of the file name -> content


@dataclass(frozen=True)
class Answer:
    """The body of a response.

    Args:
        content: the body.
        name: of the file.
    """

    content: bytes
    name: str

    @property
    def headers(self) -> dict[str, str]:
        """Type and name."""
        return {
            "Content-Type": MEDIA_TYPES[self.name.rpartition(".")[2]],
            "Content-Disposition": f"inline; filename*=UTF-8''{quote(self.name)}",
        }


def encoders(
    source: Picture, results: Mapping[str, Result], format: str, dilation: int
) -> dict[str, Callable[[], bytes]]:
    """What can be made of the results.

    source: the input; format: of the picture without text among the files, png, jpg, webp or same.
    """
    found: dict[str, Callable[[], bytes]] = {"source.png": lambda: encode_picture(source, "png")}
    segmentation = results.get("text_segmentation")
    probability = segmentation.probability if isinstance(segmentation, TextSegmentation) else None
    for result in results.values():
        if isinstance(result, TextRemoval):
            suffixes = {*REMOVED_SUFFIXES, output_suffix(source, format)}
            found |= _of_removal(result, sorted(suffixes))
            found["painted.png"] = partial(_painted, result, probability, dilation)
        elif isinstance(result, TextSegmentation):
            found |= _of_segmentation(result)
        elif isinstance(result, TamperingDetection):
            found |= _of_detection(result)
    return found


def _of_removal(result: TextRemoval, suffixes: Iterable[str]) -> Encoders:
    pictures = {
        f"removed.{each}": partial(encode_picture, result.picture, each) for each in suffixes
    }
    return pictures | {"change.png": lambda: _png(result.mask)}


def _painted(result: TextRemoval, probability: np.ndarray | None, dilation: int) -> bytes:
    """What the network painted, with the profile of the input; black far from any text."""
    rgb = result.painted
    if probability is not None:
        likely = np.where(probability >= 255 * LEAST_PROBABILITY, np.uint8(255), np.uint8(0))
        rgb = np.where(change_mask(likely, None, dilation)[:, :, None] > 0, rgb, 0).astype(
            rgb.dtype
        )
    values = from_rgb(result.source, rgb)
    return encode_picture(replace(result.source, values=values, alpha=None, bilevel=False), "png")


def _of_segmentation(result: TextSegmentation) -> Encoders:
    def cutout() -> bytes:
        rgb = result.source.rgb()
        alpha = result.mask.astype(rgb.dtype) * (np.iinfo(rgb.dtype).max // 255)
        return encode_picture(Picture("", rgb, alpha), "png")

    return {
        "mask.png": lambda: _png(result.mask),
        "probability.png": lambda: _png(result.probability),
        "cutout.png": cutout,
        "words.json": lambda: _json(result.listing()),
    }


def _of_detection(result: TamperingDetection) -> Encoders:
    return {
        "classes.png": lambda: _png(result.task.class_picture(result.classes)),
        "regions.json": lambda: _json(result.listing()),
    }


def _json(content: dict[str, Any]) -> bytes:
    """As the command writes it."""
    return f"{json.dumps(content, indent=2, ensure_ascii=False)}\n".encode()


def _png(array: np.ndarray) -> bytes:
    return encode_picture(Picture("", array), "png")


def as_file(name: str, ending: str, encoders: Encoders) -> Answer:
    """One file, named as the command names it."""
    return Answer(encoders[ending](), f"{name}.{ending}")


def as_zip(name: str, endings: Iterable[str], encoders: Encoders) -> Answer:
    """Several files; the archive depends on nothing but their content."""
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for ending in endings:
            file.writestr(zipfile.ZipInfo(f"{name}.{ending}"), encoders[ending]())
    return Answer(archive.getvalue(), f"{name}.zip")


def as_json(
    source: Picture, results: Mapping[str, Result], endings: Iterable[str], encoders: Encoders
) -> Answer:
    """Figures and regions, and files in base64."""
    height, width = source.size
    content: dict[str, Any] = {"name": source.name, "width": width, "height": height}
    content["notes"] = list(source.notes)
    content["tasks"] = {task: result.summary() for task, result in results.items()}
    for result in results.values():
        if isinstance(result, TamperingDetection):
            content["regions"] = result.listing()["regions"]
    content["files"] = {
        ending: {
            "type": MEDIA_TYPES[ending.rpartition(".")[2]],
            "data": base64.b64encode(encoders[ending]()).decode(),
        }
        for ending in endings
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Answer(text.encode(), f"{source.name}.json")
