"""Command: crops of text-free photographs that a model takes for text, as a corpus to train on.

Such crops have no text to remove, to segment or to detect: foliage, fences, tiles, windows.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from synthesis.layouts import (
    SPLITS,
    detection_files,
    removal_files,
    sample_name,
    segmentation_files,
    write_files,
    write_manifest,
    write_split,
)
from synthesis.photo.backgrounds import find_photographs
from synthesis.photo.camera import Camera
from synthesis.records import Record
from synthesis.replacing import replacing
from synthesis.samples import DetectionSample, RemovalSample, SegmentationSample
from tasks import TAMPERED_TEXT_DETECTION, TEXT_SEGMENTATION
from upocr import UPOCR
from upocr.results import ClassMap
from utils.cli import Parser, positive_int, run, say
from utils.image import read_rgb

QUALITY = 92  # of the JPEG files
CAMERA = Camera(0.0, (0.0, 0.0), 0.0, 0.0, 0.0, (1.0,) * 4, QUALITY, subsampling=False)
SCALES = (1.0, 0.5)  # of the photographs
LONGEST_SIDE = 1600  # pixels, as in the synthesis
STEP = 32  # pixels between the places of crops that are compared


@dataclass(frozen=True)
class Crop:
    """A part of a photograph, (S, S, 3) uint8.

    Args:
        pixels: the part.
        name: of the photograph.
        false_text: share of the pixels that the model takes for text.
    """

    pixels: np.ndarray
    name: str
    false_text: float


def false_text(model: UPOCR, rgb: np.ndarray) -> np.ndarray:
    """(H, W) float32, 1 where segmentation, detection or both find text, without any decision."""
    tasks = (TEXT_SEGMENTATION.name, TAMPERED_TEXT_DETECTION.name)
    results = model.run(rgb, tasks, decision="pixel")
    found = np.zeros(rgb.shape[:2], bool)
    for result in results.values():
        found |= isinstance(result, ClassMap) and result.classes > 0
    return found.astype(np.float32)


def worst_crops(found: np.ndarray, side: int) -> Iterator[tuple[int, int, float]]:
    """(top, left, share of text) of crops that overlap by at most half, from the worst on."""
    height, width = found.shape
    sums = cv2.integral(found)
    tops, lefts = (np.arange(0, length - side + 1, STEP) for length in (height, width))
    rows, columns = np.meshgrid(tops, lefts, indexing="ij")
    shares = sums[rows + side, columns + side] - sums[rows, columns + side]
    shares += sums[rows, columns] - sums[rows + side, columns]
    shares /= side * side
    while shares.max() > 0:
        row, column = np.unravel_index(shares.argmax(), shares.shape)
        top, left = int(tops[row]), int(lefts[column])
        yield top, left, float(shares[row, column])
        near = (abs(rows - top) < side // 2) & (abs(columns - left) < side // 2)
        shares[near] = 0


def mine(model: UPOCR, photographs: list[Path], side: int) -> tuple[list[Crop], float]:
    """Crops that hold false text, from the worst on, and its share of all pixels."""
    crops, total, pixels = [], 0.0, 0
    for path in tqdm(photographs, unit="photograph", disable=None):
        whole = np.asarray(read_rgb(path))
        for scale in SCALES:
            ratio = min(scale, scale * LONGEST_SIDE / max(whole.shape[:2]))
            ratio = max(ratio, side / min(whole.shape[:2]))
            if ratio > 1:
                continue
            rgb = cv2.resize(whole, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
            found = false_text(model, rgb)
            total, pixels = total + float(found.sum()), pixels + found.size
            for top, left, share in worst_crops(found, side):
                part = rgb[top : top + side, left : left + side].copy()
                crops.append(Crop(part, path.name, share))
    crops.sort(key=lambda crop: -crop.false_text)
    return crops, total / max(pixels, 1)


def write(crops: list[Crop], output_dir: Path) -> None:
    """Write crops in the layout of a synthetic corpus, as training samples of every task."""
    split = SPLITS[0]
    records: list[Record] = []
    for index, crop in enumerate(crops):
        name = sample_name(split, index)
        record: Record = {
            "name": name,
            "photograph": crop.name,
            "false_text": round(crop.false_text, 5),
        }
        image, nothing = crop.pixels, np.zeros(crop.pixels.shape[:2], np.uint8)
        files = {
            **removal_files(split, name, RemovalSample(image, image, nothing, record)),
            **segmentation_files(split, name, SegmentationSample(image, nothing, CAMERA, record)),
            **detection_files(split, name, DetectionSample(image, image, [], QUALITY, record)),
        }
        write_files(output_dir, files)
        records.append(record)
    write_split(output_dir, {split: len(crops), **dict.fromkeys(SPLITS[1:], 0)})
    write_manifest(output_dir, records)


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("photographs", type=Path, nargs="+", help="folders of photographs without text")
    add("--output_dir", type=Path, required=True, help="new folder of the corpus")
    add("--weights", help="file of the model; by default the shipped one")
    add("--num_samples", type=positive_int, default=300, help="the worst crops, at most")
    add("--size", type=positive_int, default=512, help="side of a crop in pixels")
    add("--device", default="auto", help="of the model")
    return parser


def main() -> None:
    """Mine, write, say what was found."""
    args = build_parser().parse_args()
    if args.output_dir.exists():
        raise ValueError(f"{args.output_dir}: exists already, name a new folder")
    model = UPOCR.from_pretrained(args.weights, args.device)
    photographs = find_photographs(args.photographs)
    crops, share = mine(model, photographs, args.size)
    print(f"{len(photographs)} photographs: {share:.3%} of the pixels are taken for text")
    with replacing(args.output_dir, overwrite=False) as folder:
        write(crops[: args.num_samples], folder)
    say(f"{args.output_dir}: {min(len(crops), args.num_samples)} of {len(crops)} crops")


if __name__ == "__main__":
    run(main)
