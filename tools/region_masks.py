"""Command: true text masks of photographs, from polygons around their text that were drawn by hand.

Within a polygon, a threshold tells letters from ground; what lies outside all polygons does not
count. So a few photographs take minutes to label, and show what synthetic images do not.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from utils.cli import Parser, run, say
from utils.files import read_text
from utils.image import read_rgb, write_png

REGIONS = Path(__file__).parent / "photograph_regions.json"
BACKGROUND, IGNORED, TEXT = 0, 128, 255  # grey levels of a mask

CHANNELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "grey": lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY),
    "red": lambda rgb: rgb[:, :, 0],
    "green": lambda rgb: rgb[:, :, 1],
    "minimum": lambda rgb: rgb.min(axis=2),
}
LETTERS = ("dark", "bright", "ink")
# Ink is darker than this fraction of the paper, which shows where no stroke is wider than a side.
INK, STROKE = 0.68, 71


def region_mask(rgb: np.ndarray, regions: list[dict[str, Any]]) -> np.ndarray:
    """Mask (H, W) uint8 of `BACKGROUND`, `TEXT` and `IGNORED`.

    Args:
        rgb: (H, W, 3) uint8.
        regions: `polygon`, a list of x, y in pixels; `letters`: dark or bright, told from the
            ground by Otsu's threshold, or ink on paper in any light; `channel`, where they stand
            out.
    """
    mask = np.full(rgb.shape[:2], IGNORED, np.uint8)
    for region in regions:
        inside = np.zeros(rgb.shape[:2], np.uint8)
        cv2.fillPoly(inside, [np.rint(region["polygon"]).astype(np.int32)], 1)
        values = np.ascontiguousarray(CHANNELS[region["channel"]](rgb))
        letters = _letters(values, inside > 0, region["letters"])
        mask[inside > 0] = np.where(letters[inside > 0], TEXT, BACKGROUND)
    return mask


def _letters(values: np.ndarray, inside: np.ndarray, kind: str) -> np.ndarray:
    """Letters in a channel (H, W) uint8, bool; the threshold is that of the pixels `inside`."""
    if kind == "ink":
        kernel = np.ones((STROKE, STROKE), np.uint8)
        paper = cv2.morphologyEx(cv2.medianBlur(values, 5), cv2.MORPH_CLOSE, kernel)
        return np.asarray(values < INK * cv2.GaussianBlur(paper, (0, 0), 8).astype(np.float32))
    level, _ = cv2.threshold(values[inside][:, None], 0, 255, cv2.THRESH_OTSU)
    return np.asarray(values > level if kind == "bright" else values <= level)


def read_regions(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Regions by the name of the photograph; raises ValueError naming the file and the entry."""
    try:
        entries = json.loads(read_text(path))
    except (ValueError, RecursionError):
        raise ValueError(f"{path}: not JSON") from None
    if not isinstance(entries, dict):
        raise ValueError(f"{path}: expected a photograph's name -> regions")
    for name, regions in entries.items():
        if not (isinstance(regions, list) and all(map(_is_region, regions))):
            raise ValueError(
                f"{path}: {name}: expected regions with polygon (at least three x, y), letters "
                f"({', '.join(LETTERS)}) and channel ({', '.join(CHANNELS)})"
            )
    return entries


def _is_region(region: object) -> bool:
    if not isinstance(region, Mapping) or set(region) != {"polygon", "letters", "channel"}:
        return False
    if region["letters"] not in LETTERS or region["channel"] not in CHANNELS:
        return False
    points = region["polygon"]
    return isinstance(points, list) and len(points) > 2 and all(map(_is_point, points))


def _is_point(point: object) -> bool:
    return (
        isinstance(point, list)
        and len(point) == 2
        and all(type(value) in (int, float) and abs(value) < 2**15 for value in point)
    )


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("photographs", type=Path, help="folder of the photographs")
    add("--regions", type=Path, default=REGIONS, help="JSON; default: those of tools/")
    add("--output_dir", type=Path, required=True, help="masks go to NAME.png: 255 text, 0 ground, "
        "128 unknown")  # fmt: skip
    return parser


def main() -> None:
    """Draw the masks."""
    args = build_parser().parse_args()
    regions = read_regions(args.regions)
    masks = {
        name: region_mask(np.asarray(read_rgb(args.photographs / name)), entries)
        for name, entries in regions.items()
    }
    for name, mask in masks.items():
        write_png(args.output_dir / f"{Path(name).stem}.png", mask)
    say(f"{args.output_dir}: {len(masks)} masks")


if __name__ == "__main__":
    run(main)
