"""Inspection: what the data sets on disk consist of, and what is wrong with one sample."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.boxes import read_boxes
from utils.image import read_grey, read_rgb

TEXTSEG_VALUES = (0, 100, 200, 255)
FOLDER_VALUES = (0, 128, 255)  # of one's own segmentation labels: background, ignored, text
_ORIENTATION = 0x0112  # the EXIF tag
_GREY_SHARE = 0.02  # of a mask's pixels may be grey: the seams that JPEG leaves


@dataclass(frozen=True)
class Entry:
    """Files of one sample.

    Args:
        split: it belongs to.
        name: its stem.
        image: the photograph.
        kind: removal, segmentation or detection.
        label, mask: its targets, None where the data set has none.
        values: allowed in a segmentation label.
    """

    split: str
    name: str
    image: Path
    kind: str
    label: Path | None = None
    mask: Path | None = None
    values: tuple[int, ...] = TEXTSEG_VALUES


@dataclass
class Report:
    """What was found in one sample.

    Args:
        split: it belongs to.
        image: its photograph.
        size: (width, height), None if it cannot be read.
        digest: of the decoded pixels.
        text: share of the pixels that are text, None if unknown.
        classes: pixels (segmentation) or boxes (detection) per class name.
        problems: (file, what is wrong with it).
    """

    split: str
    image: Path
    size: tuple[int, int] | None = None
    digest: str = ""
    text: float | None = None
    classes: dict[str, int] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def complain(self, path: Path | str, message: str) -> None:
        """Note a problem of a file."""
        self.problems.append((str(path), message))


def inspect(entry: Entry) -> Report:
    """Read all files of a sample and report what is wrong with them."""
    report = Report(entry.split, entry.image)
    image = _read(report, entry.image, "RGB")
    if image is not None:
        report.size = image.size
        report.digest = hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest()
    check = {"removal": _removal, "segmentation": _segmentation, "detection": _detection}
    check[entry.kind](report, entry)
    return report


def _read(report: Report, path: Path, mode: str) -> Image.Image | None:
    """Image, None if it cannot be read; its size must be the photograph's, and it upright."""
    try:
        image = read_rgb(path) if mode == "RGB" else read_grey(path)
    except ValueError as error:
        report.complain(path, str(error).removeprefix(f"{path}: "))
        return None
    orientation = image.getexif().get(_ORIENTATION, 1)
    if orientation not in (0, 1):
        report.complain(
            path,
            f"EXIF orientation {orientation}: shown turned, but read as stored; store it upright",
        )
    if report.size and image.size != report.size:
        sizes = [f"{width} x {height}" for width, height in (image.size, report.size)]
        report.complain(path, f"{sizes[0]} pixels, but its image has {sizes[1]}")
    return image


def _removal(report: Report, entry: Entry) -> None:
    if entry.label:
        _read(report, entry.label, "RGB")
    mask = _read(report, entry.mask, "L") if entry.mask else None
    if mask is None:
        return
    values = np.asarray(mask)
    grey = float(((values > 31) & (values < 224)).mean())
    if grey > _GREY_SHARE:
        report.complain(
            entry.mask, f"{grey:.0%} of the pixels are grey, expected 0 text and 255 background"
        )
    report.text = float((values < 128).mean())


def _segmentation(report: Report, entry: Entry) -> None:
    label = _read(report, entry.label, "L") if entry.label else None
    if label is None:
        return
    counts = np.bincount(np.asarray(label).ravel(), minlength=256)
    unknown = [value for value in np.flatnonzero(counts).tolist() if value not in entry.values]
    if unknown:
        shown = ", ".join(map(str, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        report.complain(
            entry.label, f"label values {shown}, expected only {' '.join(map(str, entry.values))}"
        )
    text, ignored = (100, 255) if entry.values == TEXTSEG_VALUES else (255, 128)
    report.text = float(counts[text] / counts.sum())
    report.classes = {
        "text": int(counts[text]),
        "ignored": int(counts[ignored]),
        "background": int(counts.sum() - counts[text] - counts[ignored]),
    }


def _detection(report: Report, entry: Entry) -> None:
    if entry.label is None:
        return
    try:
        boxes = read_boxes(entry.label)
    except ValueError as error:
        report.complain(entry.label, str(error).removeprefix(f"{entry.label}: "))
        return
    for box in boxes:
        _check_box(report, entry.label, box)
    kinds = [kind for *_, kind in boxes]
    report.classes = {"genuine": kinds.count(1), "tampered": kinds.count(2)}
    if report.size:
        report.text = _covered(boxes, report.size)


def _check_box(report: Report, path: Path, box: Sequence[int]) -> None:
    x1, y1, x2, y2, _ = box
    shown = ",".join(map(str, box))
    if x2 <= x1 or y2 <= y1:
        report.complain(path, f"box {shown} has no area")
    elif report.size and (min(x1, y1) < 0 or x2 > report.size[0] or y2 > report.size[1]):
        width, height = report.size
        report.complain(path, f"box {shown} reaches outside the image of {width} x {height} pixels")


def _covered(boxes: Sequence[Sequence[int]], size: tuple[int, int]) -> float:
    covered = np.zeros(size[::-1], dtype=bool)
    for x1, y1, x2, y2, _ in boxes:
        covered[max(0, y1) : max(0, y2 + 1), max(0, x1) : max(0, x2 + 1)] = True
    return float(covered.mean())
