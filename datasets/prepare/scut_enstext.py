"""Arrange SCUT-EnsText and draw its masks: `python -m datasets.prepare.scut_enstext`."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from datasets.files import Folder, Item, list_files, pair_files
from utils.cli import Parser, run, say
from utils.files import read_text
from utils.image import SUFFIXES, read_grey, read_rgb, write_png
from utils.quote import printable, quote

SPLITS = ("train", "test")
RENAMED = {"all_images": "image", "all_labels": "label"}  # as delivered -> as the data set reads it
ANNOTATIONS = ("all_gts", "gts", "gt")
TEXT, BACKGROUND = 0, 255
MAX_COORDINATE = 2**16  # pixels; no picture is larger, and OpenCV draws far ones slowly or wrong

Polygon = np.ndarray  # (N, 2) int32, x and y in pixels


def prepare(root: Path) -> dict[str, int]:
    """Arrange `root/{train,test}` as image, label, mask; returns the number of samples per split.

    Folders `all_images` and `all_labels` are renamed; annotations stay. Masks are drawn from the
    polygons in `all_gts`, one text file per image; an existing mask stays if it is equal. Raises
    ValueError naming what is missing or wrong.
    """
    splits = [split for split in SPLITS if (root / split).is_dir()]
    if not splits:
        raise ValueError(f"{root}: no folder {' or '.join(SPLITS)} in here")
    return {split: _prepare_split(root / split) for split in splits}


def _prepare_split(folder: Path) -> int:
    for delivered, name in RENAMED.items():
        _rename(folder / delivered, folder / name)
    annotations = next((folder / name for name in ANNOTATIONS if (folder / name).is_dir()), None)
    if annotations is None:
        raise ValueError(f"{folder / ANNOTATIONS[0]}: missing folder, the masks are drawn from it")
    folders = {field: Folder(folder / field) for field in ("image", "label")}
    # The annotation takes the place of the mask that is drawn from it.
    items = pair_files({**folders, "mask": Folder(annotations, (".txt",))})
    masks, existing = folder / "mask", _existing_masks(folder / "mask")
    for item in items:  # before anything is written
        other = existing.get(item.name)
        if other and not np.array_equal(np.asarray(read_grey(other)), _mask_of(item)):
            raise ValueError(f"{other}: another mask of this image, delete or move {masks}")
    missing = [item for item in items if item.name not in existing]
    for item in tqdm(missing, desc=printable(folder.name), unit="mask", disable=None):
        write_png(masks / f"{item.name}.png", _mask_of(item))
    return len(items)


def _existing_masks(folder: Path) -> dict[str, Path]:
    files = folder.glob("[!.]*") if folder.is_dir() else ()
    return list_files(folder) if any(path.suffix.lower() in SUFFIXES for path in files) else {}


def _mask_of(item: Item) -> np.ndarray:
    assert item.mask
    width, height = read_rgb(item.image).size
    return draw_mask(read_polygons(item.mask), (height, width))


def _rename(source: Path, target: Path) -> None:
    if not source.is_dir():
        return
    if target.exists():
        raise ValueError(f"{source}: cannot be renamed, {target} exists too")
    source.rename(target)


def read_polygons(path: Path) -> list[Polygon]:
    """Polygons of an annotation file, one line `x1,y1,x2,y2,x3,y3,...` per polygon.

    A polygon has three or more vertices; a transcription after the numbers is skipped. Raises
    ValueError naming the file and the line for anything else.
    """
    numbered = enumerate(read_text(path, errors="replace").splitlines(), start=1)
    return [_parse_polygon(line, f"{path}:{number}") for number, line in numbered if line.strip()]


def _parse_polygon(line: str, place: str) -> Polygon:
    numbers = []
    for part in map(str.strip, line.split(",")):
        if not re.fullmatch(r"-?\d+(\.\d+)?", part):
            break
        numbers.append(float(part))
    # An odd count means a missing coordinate, or a transcription like "2019".
    if len(numbers) < 6 or len(numbers) == 7:
        raise ValueError(f"{place}: {line[:80]!r} is not x1,y1,x2,y2,x3,y3,...")
    even = len(numbers) - len(numbers) % 2
    if max(map(abs, numbers[:even])) > MAX_COORDINATE:
        raise ValueError(f"{place}: {quote(line)} lies more than {MAX_COORDINATE} pixels away")
    return np.round(np.array(numbers[:even]).reshape(-1, 2)).astype(np.int32)


def draw_mask(polygons: Sequence[Polygon], shape: tuple[int, int]) -> np.ndarray:
    """Mask uint8 (H, W) of filled polygons including their edges: 0 text, 255 background."""
    mask = np.full(shape, BACKGROUND, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [polygon], TEXT)
    return mask


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(
        prog="python -m datasets.prepare.scut_enstext",
        description="Arrange SCUT-EnsText as delivered and draw its masks.",
    )
    parser.add_argument("--root", type=Path, required=True, help="folder that holds train and test")
    return parser


def main() -> None:
    """The command."""
    args = build_parser().parse_args()
    for split, count in prepare(args.root).items():
        say(f"{args.root / split}: image, label and mask of {count} samples")


if __name__ == "__main__":
    run(main)
