"""Command: text removal by a text detector and inpainting, a baseline without our network."""

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from datasets.files import list_files
from utils.cli import Parser, run
from utils.image import read_rgb, write_png

RADIUS = 5  # pixels around a hole that inpainting uses
ENDING = ".removed.png"  # as predict.py writes it
Detector = Callable[[np.ndarray], list[np.ndarray]]  # RGB uint8 (H, W, 3) -> corners (4, 2)


def rapid_ocr() -> Detector:
    """The detector of PP-OCRv4, whose weights are part of the package rapidocr-onnxruntime.

    Raises ValueError if the package is not installed.
    """
    try:
        from rapidocr_onnxruntime import RapidOCR  # noqa: PLC0415 - optional, and not in requirements
    except ImportError:
        raise ValueError("no text detector: pip install rapidocr-onnxruntime") from None
    engine = RapidOCR()

    def detect(image: np.ndarray) -> list[np.ndarray]:
        bgr = np.ascontiguousarray(image[..., ::-1])
        found, _ = engine(bgr, use_det=True, use_cls=False, use_rec=False)
        return [np.array(box, np.float32) for box in found or []]

    return detect


def remove_text(image: np.ndarray, detect: Detector, margin: int) -> np.ndarray:
    """Fill every detected box by Telea's method (JGT 2004); RGB uint8 (H, W, 3) -> same.

    margin: pixels around each box that are filled as well.
    """
    holes: np.ndarray = np.zeros(image.shape[:2], np.uint8)
    for box in detect(image):
        cv2.fillPoly(holes, [np.rint(box).astype(np.int32)], 255)
    if margin:
        holes = cv2.dilate(holes, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8))
    return cv2.inpaint(image, holes, RADIUS, cv2.INPAINT_TELEA)


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("image_dir", type=Path, help="folder of images")
    add("--output_dir", type=Path, required=True, help=f"folder of the results, NAME{ENDING}")
    add("--margin", type=int, default=2, help="pixels filled around a box")
    return parser


def main() -> None:
    """Detect, inpaint, write."""
    args = build_parser().parse_args()
    if args.margin < 0:
        raise ValueError(f"--margin is {args.margin}, expected 0 or more")
    files = list_files(args.image_dir)
    detect = rapid_ocr()
    for name, path in files.items():
        image = np.asarray(read_rgb(path))
        result = remove_text(image, detect, args.margin)
        write_png(args.output_dir / f"{name}{ENDING}", result)
    print(f"{len(files)} images: {args.output_dir}")


if __name__ == "__main__":
    run(main)
