"""Command: input, output and target of evaluated images side by side, one PNG per data set."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datasets import TextDataset
from tasks import TASKS
from tools.evaluated import add_data_options, evaluated_datasets
from utils.cli import Parser, positive_int, run
from utils.image import contact_sheet, image_to_tensor, read_rgb, tensor_to_array
from utils.logger import setup_logging

logger = logging.getLogger(__name__)


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add_data_options(parser)
    add = parser.add_argument
    add("--output_dir", type=Path, required=True, help="of main.py --eval true --visualize true")
    add("--num_images", type=positive_int, default=8, help="rows, spread over the data set")
    return parser


def draw_sheet(dataset: TextDataset, output_dir: Path, num_images: int) -> Path:
    """Draw `output_dir/NAME_sheet.png` from the pictures in `output_dir/NAME`; returns its path.

    Raises ValueError naming a picture that the evaluation has not written.
    """
    chosen = np.linspace(0, len(dataset) - 1, min(num_images, len(dataset))).round().astype(int)
    rows = [draw_row(dataset, int(index), output_dir / dataset.name) for index in chosen]
    path = output_dir / f"{dataset.name}_sheet.png"
    contact_sheet(rows, path, ("Input", TASKS[dataset.task].title, "Target"))
    return path


def draw_row(dataset: TextDataset, index: int, pictures: Path) -> Sequence[np.ndarray]:
    """Input, output and target of one image, uint8 (H, W, 3) or (H, W); black without a target."""
    item = dataset.items[index]
    images = {
        field: tensor_to_array(image_to_tensor(image))
        for field, image in dataset.read(item).items()
    }
    output = np.asarray(read_rgb(pictures / f"{item.name}.png"))
    target = images.get("label", np.zeros_like(images["image"]))
    return images["image"], output, target


def main() -> None:
    """Draw a sheet per data set and log its path."""
    args = build_parser().parse_args()
    setup_logging()
    for dataset in evaluated_datasets(args.eval_data_cfg_path, args.data_root):
        logger.info("%s", draw_sheet(dataset, args.output_dir, args.num_images))


if __name__ == "__main__":
    run(main)
