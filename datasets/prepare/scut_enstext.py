"""Arrange SCUT-EnsText and make its masks: `python -m datasets.prepare.scut_enstext`."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from datasets.base import list_files, partner
from utils.cli import Parser, run
from utils.image import SUFFIXES, read_grey, read_rgb, write_png

SPLITS = ("train", "test")
# As delivered -> as the data set class reads them.
RENAMED = {"all_images": "image", "all_labels": "label"}
ANNOTATIONS = ("all_gts", "gts", "gt")
TEXT, BACKGROUND = 0, 255

Polygon = np.ndarray  # (N, 2) int32, x and y in pixels


def prepare(root: Path) -> dict[str, int]:
    """Arrange `root/{train,test}` as image, label, mask; returns the samples per split.

    A folder `all_images` or `all_labels` is renamed; annotations stay where they are. Masks are
    made from the polygons in `all_gts`, one text file per image; one that is there already stays if
    it is the same. Raises ValueError naming what is missing or wrong.
    """
    splits = [split for split in SPLITS if (root / split).is_dir()]
    if not splits:
        raise ValueError(f"{root}: no folder {' or '.join(SPLITS)} in here")
    return {split: _prepare_split(root / split) for split in splits}


def _prepare_split(folder: Path) -> int:
    for delivered, name in RENAMED.items():
        _rename(folder / delivered, folder / name)
    images = list_files(folder / "image")
    labels = list_files(folder / "label")
    annotations = next((folder / name for name in ANNOTATIONS if (folder / name).is_dir()), None)
    if annotations is None:
        raise ValueError(f"{folder / ANNOTATIONS[0]}: missing folder, the masks are made from it")
    texts = list_files(annotations, (".txt",))
    pairs = [
        (
            image,
            partner(labels, folder / "label", stem, image),
            partner(texts, annotations, stem, image),
        )
        for stem, image in images.items()
    ]
    masks, there = folder / "mask", _masks_there(folder / "mask")
    drawn = [(masks / f"{image.stem}.png", image, text) for image, _, text in pairs]
    for path, image, text in drawn:  # first, so that nothing is written beside other masks
        other = there.get(path.stem)
        if other and not np.array_equal(np.asarray(read_grey(other)), _mask_of(image, text)):
            raise ValueError(f"{other}: another mask of this image, delete or move {masks}")
    missing = [entry for entry in drawn if entry[0].stem not in there]
    for path, image, text in tqdm(missing, desc=folder.name, unit="mask", disable=None):
        write_png(path, _mask_of(image, text))
    return len(pairs)


def _masks_there(folder: Path) -> dict[str, Path]:
    pictures = folder.glob("[!.]*") if folder.is_dir() else ()
    return list_files(folder) if any(p.suffix.lower() in SUFFIXES for p in pictures) else {}


def _mask_of(image: Path, text: Path) -> np.ndarray:
    width, height = read_rgb(image).size
    return draw_mask(read_polygons(text), (height, width))


def _rename(source: Path, target: Path) -> None:
    if not source.is_dir():
        return
    if target.exists():
        raise ValueError(f"{source}: cannot be renamed, {target} is there too")
    source.rename(target)


def read_polygons(path: Path) -> list[Polygon]:
    """Polygons of an annotation file, `x1,y1,x2,y2,x3,y3,...` a line; an empty file has none.

    They have three vertices or more. A transcription after the numbers is passed over. Raises
    ValueError naming the file and the line for anything else.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise ValueError(f"{path}: cannot read this annotation ({error.strerror})") from None
    numbered = enumerate(lines, start=1)
    return [_parse_polygon(line, f"{path}:{number}") for number, line in numbered if line.strip()]


def _parse_polygon(line: str, place: str) -> Polygon:
    parts = [part.strip() for part in line.split(",")]
    numbers = []
    for part in parts:
        if not re.fullmatch(r"-?\d+(\.\d+)?", part):
            break
        numbers.append(float(part))
    # An odd count is a coordinate that lacks, unless the last one is a transcription like "2019".
    if len(numbers) < 6 or len(numbers) == 7:
        raise ValueError(f"{place}: {line[:80]!r} is not x1,y1,x2,y2,x3,y3,...")
    even = len(numbers) - len(numbers) % 2
    return np.round(np.array(numbers[:even]).reshape(-1, 2)).astype(np.int32)


def draw_mask(polygons: Sequence[Polygon], shape: tuple[int, int]) -> np.ndarray:
    """Mask uint8 (H, W) of the filled polygons with their edges: 0 text, 255 background."""
    mask = np.full(shape, BACKGROUND, dtype=np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [polygon], TEXT)
    return mask


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(
        prog="python -m datasets.prepare.scut_enstext",
        description="Arrange SCUT-EnsText as delivered and make its masks.",
    )
    parser.add_argument("--root", type=Path, required=True, help="folder with train and test in it")
    return parser


def main() -> None:
    """The command."""
    options = build_parser().parse_args()
    for split, count in prepare(options.root).items():
        print(f"{options.root / split}: image, label and mask of {count} samples")


if __name__ == "__main__":
    run(main)
