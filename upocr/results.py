"""What the network found in a picture, one class a task, and the files it is kept in."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from upocr.picture import Picture, output_suffix, write_pictures
from upocr.regions import CLASSES, Region
from utils.files import read_json, write_json

RESULTS = "results.json"  # what `predict.py` found in every picture, beside the files
EYE_SIDE = 1600  # longest side of an overlay, in pixels: for looking, not for measuring
TINTS = np.array([[0, 0, 0], [0, 170, 60], [230, 30, 30]], np.uint8)  # background, real, tampered


def read_results(path: Path) -> list[dict]:
    """Records of `predict.py`, one an input; ValueError naming a file that is missing or other."""
    records = read_json(path)
    if not isinstance(records, list) or not all(map(_is_record, records)):
        raise ValueError(f"{path}: not written by predict.py")
    return records


def _is_record(record: Any) -> bool:
    if not isinstance(record, dict) or not isinstance(record.get("input"), str):
        return False
    pages = record.get("pages")
    return isinstance(pages, list) and all(
        isinstance(page, dict) and {"page", "files"} <= set(page) for page in pages
    )


@dataclass
class TextRemoval:
    """A picture without its text.

    Args:
        picture: the result, with alpha, profile and depth of the input.
        mask: (H, W) uint8, how much of each pixel is new; at 0 the input is untouched.
        source: the input.
    """

    picture: Picture
    mask: np.ndarray
    source: Picture = field(repr=False)

    @property
    def image(self) -> np.ndarray:
        """(H, W, 3) RGB in the depth of the input, uint8 or uint16."""
        return self.picture.rgb()

    def summary(self) -> dict:
        """For `results.json`."""
        return {"text_area": int((self.mask > 0).sum())}

    @staticmethod
    def files(source: Picture, format: str = "png") -> list[str]:
        """Names of the files that `save` writes."""
        suffix = output_suffix(source, format)
        return [f"{source.name}.removed.{suffix}", f"{source.name}.removed_overlay.png"]

    def save(self, folder: str | Path, format: str = "png") -> list[Path]:
        """Write `NAME.removed.FORMAT` and an overlay; the paths. `format`: png, jpg, webp, same."""
        image, overlay = (Path(folder) / name for name in self.files(self.source, format))
        write_pictures([self.picture], image)
        _write_overlay(overlay, self.source, (self.mask > 0).astype(np.uint8) * 2)
        return [image, overlay]


@dataclass
class TextSegmentation:
    """Where the text is.

    Args:
        probability: (H, W) uint8, 255 is certainly text.
        mask: (H, W) uint8, 255 text and 0 background.
        source: the input.
    """

    probability: np.ndarray
    mask: np.ndarray
    source: Picture = field(repr=False)

    def summary(self) -> dict:
        """For `results.json`."""
        text = self.mask > 0
        score = float(self.probability[text].mean()) / 255 if text.any() else None
        return {"text_area": int(text.sum()), "score": score and round(score, 4)}

    @staticmethod
    def files(source: Picture, cutout: bool = False) -> list[str]:
        """Names of the files that `save` writes."""
        kinds = ["probability", "mask", "mask_overlay"] + ["cutout"] * cutout
        return [f"{source.name}.{kind}.png" for kind in kinds]

    def save(self, folder: str | Path, cutout: bool = False) -> list[Path]:
        """Write the maps, an overlay and with `cutout` the text on a clear ground; the paths."""
        paths = [Path(folder) / name for name in self.files(self.source, cutout)]
        _write_array(paths[0], self.probability)
        _write_array(paths[1], self.mask)
        _write_overlay(paths[2], self.source, (self.mask > 0).astype(np.uint8))
        if cutout:
            rgb = self.source.rgb()
            alpha = self.mask.astype(rgb.dtype) * (np.iinfo(rgb.dtype).max // 255)
            write_pictures([Picture("", rgb, alpha)], paths[3])
        return paths


@dataclass
class TamperingDetection:
    """Which text is genuine and which is tampered with.

    Args:
        classes: (H, W) uint8: 0 background, 1 real, 2 tampered.
        scores: (H, W) uint8: certainty of the class, 255 is certain.
        regions: connected text of one class.
        source: the input.
    """

    classes: np.ndarray
    scores: np.ndarray
    regions: list[Region]
    source: Picture = field(repr=False)

    def summary(self) -> dict:
        """For `results.json`."""
        areas = {name: int((self.classes == i).sum()) for i, name in enumerate(CLASSES) if i}
        best = max((r.score for r in self.regions if r.label == "tampered"), default=None)
        return {
            "text_area": sum(areas.values()),
            "tampered_area": areas["tampered"],
            "num_regions": len(self.regions),
            "tampered_score": best,
        }

    @staticmethod
    def files(source: Picture) -> list[str]:
        """Names of the files that `save` writes."""
        endings = ("classes.png", "classes_overlay.png", "regions.json")
        return [f"{source.name}.{ending}" for ending in endings]

    def save(self, folder: str | Path) -> list[Path]:
        """Write the class map (red background, green real, blue tampered), an overlay, regions."""
        classes, overlay, regions = (Path(folder) / name for name in self.files(self.source))
        colours = 255 * np.eye(len(CLASSES), dtype=np.uint8)
        _write_array(classes, colours[self.classes])
        _write_overlay(overlay, self.source, self.classes)
        height, width = self.source.size
        content = {"width": width, "height": height}
        write_json(regions, content | {"regions": [r.as_dict() for r in self.regions]})
        return [classes, overlay, regions]


def _write_array(path: Path, array: np.ndarray) -> None:
    write_pictures([Picture(path.stem, array)], path)


def _write_overlay(path: Path, source: Picture, tint: np.ndarray) -> None:
    """The input, at most `EYE_SIDE` pixels long, pale where `tint` is 0 and coloured elsewhere."""
    rgb = source.rgb()
    scale = min(1, EYE_SIDE / max(source.size))
    size = [max(1, round(side * scale)) for side in source.size[::-1]]
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    small = (small // 257).astype(np.uint8) if small.dtype == np.uint16 else small
    # Shrinking by the strongest neighbour keeps thin strokes visible.
    reach = max(1, round(1 / scale))
    tint = cv2.resize(
        cv2.dilate(tint, np.ones((reach, reach), np.uint8)) if reach > 1 else tint,
        size,
        interpolation=cv2.INTER_NEAREST,
    )
    pale = (small // 2 + 100).astype(np.uint8)
    marked = (small * 0.4 + TINTS[tint] * 0.6).astype(np.uint8)
    _write_array(path, np.where(tint[:, :, None] > 0, marked, pale))
