"""Command: input, output and target of evaluated images side by side, one PNG a data set."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datasets import TextDataset, build_dataset
from utils.cli import Parser, run
from utils.image import contact_sheet, image_to_tensor, read_rgb, tensor_to_array
from utils.logger import setup_logging

logger = logging.getLogger(__name__)
COLUMNS = ("input", "output", "target")


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--output_dir", type=Path, required=True, help="of main.py --eval true --visualize true")
    add("--eval_data_cfg_path", nargs="+", required=True, help="the same as for the evaluation")
    add("--data_root", default="data", help="the same as for the evaluation")
    add("--num_images", type=int, default=8, help="rows of a sheet, spread over the data set")
    return parser


def draw_sheet(dataset: TextDataset, output_dir: Path, num_images: int) -> Path:
    """Draw `output_dir/NAME_sheet.png` from the pictures in `output_dir/NAME`; returns its path.

    Raises ValueError naming a picture that evaluation has not written.
    """
    chosen = np.linspace(0, len(dataset) - 1, min(num_images, len(dataset))).round().astype(int)
    rows = [draw_row(dataset, int(index), output_dir / dataset.name) for index in chosen]
    path = output_dir / f"{dataset.name}_sheet.png"
    contact_sheet(rows, path, COLUMNS)
    return path


def draw_row(dataset: TextDataset, index: int, pictures: Path) -> Sequence[np.ndarray]:
    """Input, output and target of one image, uint8 (H, W, 3) or (H, W); black without a target."""
    item = dataset.items[index]
    images = dataset.read(item)
    image = tensor_to_array(image_to_tensor(images["image"]))
    output = np.asarray(read_rgb(pictures / f"{item.name}.png"))
    if "label" not in images:
        return image, output, np.zeros_like(image)
    return image, output, tensor_to_array(image_to_tensor(images["label"]))


def main() -> None:
    """Draw a sheet for every data set and say where it is."""
    args = build_parser().parse_args()
    setup_logging()
    if args.num_images < 1:
        raise ValueError(f"--num_images is {args.num_images}, expected at least 1")
    for path in args.eval_data_cfg_path:
        # The size of the network's input does not matter here: pictures have their own.
        dataset = build_dataset(path, image_size=32, data_root=args.data_root)
        logger.info("%s", draw_sheet(dataset, args.output_dir, args.num_images))


if __name__ == "__main__":
    run(main)
