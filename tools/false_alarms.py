"""Command: text and tampering that predict.py found in images without text."""

import argparse
import math
from pathlib import Path
from typing import Any

from tasks import TAMPERED_TEXT_DETECTION, TEXT_SEGMENTATION
from upocr.records import RESULTS_FILE, read_results
from utils.cli import Parser, run, say
from utils.files import write_json

NEEDED = (TEXT_SEGMENTATION.name, TAMPERED_TEXT_DETECTION.name)


def shares(folder: Path) -> dict[str, dict[str, Any]]:
    """`pictures` by input and `total` over all pixels; shares from 0 to 1.

    `text`: share of the image segmented as text; `tampered`: share of the detected text detected as
    tampered, 0 without any. Raises ValueError for a missing task or a failed image.
    """
    areas = {}
    for record in read_results(folder / RESULTS_FILE):
        if "error" in record:
            raise ValueError(f"{folder / RESULTS_FILE}: {record['error']}")
        for page in record["pages"]:
            several = f" {page['page']}" if len(record["pages"]) > 1 else ""
            areas[record["input"] + several] = _areas(folder, page)
    if not areas:
        raise ValueError(f"{folder / RESULTS_FILE}: no finished image")
    total = [sum(column) for column in zip(*areas.values(), strict=True)]
    return {
        "pictures": {name: _shares(*each) for name, each in areas.items()},
        "total": _shares(*total),
    }


def _areas(folder: Path, page: dict[str, Any]) -> tuple[int, ...]:
    """Pixels of the image, of segmented text, of detected text and of its tampered part."""
    missing = [task for task in NEEDED if task not in page]
    if missing:
        raise ValueError(
            f"{folder / RESULTS_FILE}: {page['page']} lacks {missing[0]}, run --task all"
        )
    segmented, detected = (page[task] for task in NEEDED)
    sides: list[Any] = [page.get(side) for side in ("width", "height")]
    keys = ((segmented, "text_area"), (detected, "text_area"), (detected, "tampered_area"))
    areas: list[Any] = [task.get(key) if isinstance(task, dict) else None for task, key in keys]
    if not all(type(number) is int and number >= 0 for number in (*sides, *areas)) or 0 in sides:
        raise ValueError(f"{folder / RESULTS_FILE}: {page['page']} lacks the areas of its text")
    return math.prod(sides), *areas


def _shares(pixels: int, text: int, found: int, tampered: int) -> dict[str, float]:
    return {"text": text / pixels, "tampered": tampered / found if found else 0.0}


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("photo_dir", type=Path, help="--output_dir of predict.py --task all")
    add("--json", type=Path, help="also write the shares to this file")
    return parser


def main() -> None:
    """Print a line per image, and the total."""
    args = build_parser().parse_args()
    found = shares(args.photo_dir)
    lines = found["pictures"] | {"total": found["total"]}
    width = max(map(len, lines))
    for name, share in lines.items():
        say(
            f"{name:<{width}}  text {share['text']:7.3%} of the image  "
            f"tampered {share['tampered']:7.2%} of the text"
        )
    if args.json:
        write_json(args.json, found)


if __name__ == "__main__":
    run(main)
