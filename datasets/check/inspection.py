"""Inspection: the content of the files of one sample, and their faults."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.base import TextDataset
from datasets.boxes import CLASSES, Box, paint_boxes, read_boxes
from datasets.files import Item
from datasets.folders import IGNORED_VALUE, TEXT_VALUE, DetectionFolders, SegmentationFolders
from utils.image import read_grey, read_rgb

ORIENTATION = 0x0112  # EXIF tag
GREY_SHARE = 0.02  # tolerated share of grey pixels in a mask: the seams that JPEG leaves


@dataclass
class Report:
    """Findings of one sample.

    Args:
        split: of the sample.
        image: file of the image.
        size: (width, height), None for an unreadable image.
        digest: hash of the decoded pixels, empty for an unreadable image.
        text: share of the pixels that are text, None if unknown.
        classes: pixels (segmentation) or boxes (detection) per class.
        problems: (file, message) of each fault.
    """

    split: str
    image: Path
    size: tuple[int, int] | None = None
    digest: str = ""
    text: float | None = None
    classes: dict[str, int] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def complain(self, path: Path, message: str) -> None:
        """Add a problem; the path that begins a message is dropped."""
        self.problems.append((str(path), message.removeprefix(f"{path}: ")))


def inspect(dataset: type[TextDataset], sample: tuple[str, Item]) -> Report:
    """Read all files of a sample (split, files) of a data set."""
    split, item = sample
    report = Report(split, item.image)
    image = _read(report, item.image, "RGB")
    if image is not None:
        report.size = image.size
        report.digest = hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest()
    if issubclass(dataset, SegmentationFolders):
        _inspect_segmentation(report, item, dataset)
    elif issubclass(dataset, DetectionFolders):
        _inspect_detection(report, item)
    else:
        _inspect_pictures(report, item)
    return report


def _read(report: Report, path: Path | None, mode: str) -> Image.Image | None:
    """Read a file as RGB or L; None if it is missing or unreadable.

    Notes an EXIF orientation and a size that is not the image's.
    """
    if path is None:
        return None
    try:
        image = read_rgb(path) if mode == "RGB" else read_grey(path)
    except ValueError as error:
        report.complain(path, str(error))
        return None
    orientation = image.getexif().get(ORIENTATION, 1)
    if orientation not in (0, 1):
        report.complain(
            path,
            f"EXIF orientation {orientation}: shown rotated, but read as stored; store it upright",
        )
    if report.size and image.size != report.size:
        sizes = [f"{width} x {height}" for width, height in (image.size, report.size)]
        report.complain(path, f"{sizes[0]} pixels, but its image has {sizes[1]}")
    return image


def _inspect_pictures(report: Report, item: Item) -> None:
    _read(report, item.label, "RGB")
    mask = _read(report, item.mask, "L")
    if item.mask is None or mask is None:
        return
    values = np.asarray(mask)
    grey = float(((values > 31) & (values < 224)).mean())
    if grey > GREY_SHARE:
        report.complain(
            item.mask, f"{grey:.0%} of the pixels are grey, expected 0 text and 255 background"
        )
    report.text = float((values < 128).mean())


def _inspect_segmentation(report: Report, item: Item, dataset: type[SegmentationFolders]) -> None:
    label = _read(report, item.label, "L")
    if item.label is None or label is None:
        return
    counts = np.bincount(np.asarray(label).ravel(), minlength=256)
    known = dataset.label_values
    unknown = [value for value in np.flatnonzero(counts).tolist() if value not in known]
    if unknown:
        shown = ", ".join(map(str, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        expected = " ".join(map(str, sorted(known)))
        report.complain(item.label, f"label values {shown}, expected only {expected}")
    text, ignored = (
        sum(int(counts[stored]) for stored, value in known.items() if value == meaning)
        for meaning in (TEXT_VALUE, IGNORED_VALUE)
    )
    total = int(counts.sum())
    report.text = text / total
    report.classes = {"text": text, "ignored": ignored, "background": total - text - ignored}


def _inspect_detection(report: Report, item: Item) -> None:
    if item.label is None:
        return
    try:
        boxes = read_boxes(item.label)
    except ValueError as error:
        report.complain(item.label, str(error))
        return
    for box in boxes:
        _check_box(report, item.label, box)
    numbers = Counter(number for *_, number in boxes)
    report.classes = {each.name: numbers[i] for i, each in enumerate(CLASSES) if i}
    if report.size:
        picture = np.asarray(paint_boxes(boxes, report.size))
        report.text = float((picture != CLASSES[0].colour).any(axis=2).mean())


def _check_box(report: Report, path: Path, box: Box) -> None:
    x1, y1, x2, y2, _ = box
    shown = ",".join(map(str, box))
    if x2 <= x1 or y2 <= y1:
        report.complain(path, f"box {shown} has no area")
    elif report.size and (min(x1, y1) < 0 or x2 > report.size[0] or y2 > report.size[1]):
        width, height = report.size
        report.complain(path, f"box {shown} reaches outside the image of {width} x {height} pixels")
