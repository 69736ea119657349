"""Inspection: the content of the files of one sample, and their faults."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datasets.base import TextDataset
from datasets.boxes import CLASSES, Box, paint_boxes, read_boxes
from datasets.files import Item
from datasets.folders import IGNORED_VALUE, TEXT_VALUE, DetectionFolders, SegmentationFolders
from utils.image import read_grey

ORIENTATION = 0x0112  # EXIF tag
GREY_SHARE = 0.02  # tolerated share of grey pixels in a mask: the seams that JPEG leaves


@dataclass
class Report:
    """Findings of one sample.

    Args:
        split: of the sample.
        image: file of the image.
        size: (width, height), None for an unreadable sample.
        digest: hash of the decoded pixels, empty for an unreadable sample.
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
        """Add a problem; a path that begins the message is dropped."""
        self.problems.append((str(path), message.removeprefix(f"{path}: ")))


def inspect(dataset: type[TextDataset], sample: tuple[str, Item]) -> Report:
    """Read a sample (split, files) as training does, and look for more faults."""
    split, item = sample
    report = Report(split, item.image)
    files = {"image": item.image, "label": item.label, "mask": item.mask}
    try:
        images = dataset.read(item)
    except ValueError as error:
        named = (path for path in files.values() if path and str(error).startswith(str(path)))
        report.complain(next(named, item.image), str(error))
        return report
    report.size = images["image"].size
    report.digest = hashlib.blake2b(images["image"].tobytes(), digest_size=16).hexdigest()
    for key, path in files.items():
        orientation = images[key].getexif().get(ORIENTATION, 1) if key in images else 1
        if path and orientation not in (0, 1):
            message = "shown rotated, but read as stored; store it upright"
            report.complain(path, f"EXIF orientation {orientation}: {message}")
    if item.label and issubclass(dataset, SegmentationFolders):
        _inspect_segmentation(report, item.label, dataset.label_values)
    elif item.label and issubclass(dataset, DetectionFolders):
        _inspect_boxes(report, item.label, report.size)
    elif item.mask:
        _inspect_mask(report, item.mask)
    return report


def _inspect_mask(report: Report, path: Path) -> None:
    values = np.asarray(read_grey(path))
    grey = float(((values > 31) & (values < 224)).mean())
    if grey > GREY_SHARE:
        report.complain(path, f"{grey:.0%} of the pixels are grey, expected 0 text, 255 background")
    report.text = float((values < 128).mean())


def _inspect_segmentation(report: Report, path: Path, known: Mapping[int, int]) -> None:
    counts = np.bincount(np.asarray(read_grey(path)).ravel(), minlength=256).tolist()
    unknown = [str(value) for value, count in enumerate(counts) if count and value not in known]
    if unknown:
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        expected = " ".join(map(str, sorted(known)))
        report.complain(path, f"label values {shown}, expected only {expected}")
    text, ignored = (
        sum(counts[stored] for stored, value in known.items() if value == meaning)
        for meaning in (TEXT_VALUE, IGNORED_VALUE)
    )
    report.text = text / sum(counts)
    report.classes = {"text": text, "ignored": ignored, "background": sum(counts) - text - ignored}


def _inspect_boxes(report: Report, path: Path, size: tuple[int, int]) -> None:
    boxes = read_boxes(path)
    for box in boxes:
        if message := _fault_of_box(box, size):
            report.complain(path, f"box {','.join(map(str, box))} {message}")
    numbers = Counter(number for *_, number in boxes)
    report.classes = {each.name: numbers[i] for i, each in enumerate(CLASSES) if i}
    picture = np.asarray(paint_boxes(boxes, size))
    report.text = float((picture != CLASSES[0].colour).any(axis=2).mean())


def _fault_of_box(box: Box, size: tuple[int, int]) -> str:
    x1, y1, x2, y2, _ = box
    if x2 <= x1 or y2 <= y1:
        return "has no area"
    if min(x1, y1) < 0 or x2 > size[0] or y2 > size[1]:
        return f"reaches outside the image of {size[0]} x {size[1]} pixels"
    return ""
