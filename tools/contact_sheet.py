"""Command: input, output and target of evaluated images side by side, one PNG per data set."""

import argparse
import logging
from pathlib import Path

import numpy as np

from datasets import TextDataset
from eval.pictures import draw_rows, sample_row, spread
from tools.evaluated import add_data_options, evaluated_datasets
from utils.cli import Parser, positive_int, run
from utils.image import read_rgb
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
    pictures = output_dir / dataset.name
    path = output_dir / f"{dataset.name}_sheet.png"
    rows = []
    for index in spread(dataset, num_images):
        output = read_rgb(pictures / f"{dataset.items[index].name}.png")
        rows.append(sample_row(dataset, index, np.asarray(output)))
    draw_rows(dataset, rows, path)
    return path


def main() -> None:
    """Draw a sheet per data set and log its path."""
    args = build_parser().parse_args()
    setup_logging()
    for dataset in evaluated_datasets(args.eval_data_cfg_path, args.data_root):
        logger.info("%s", draw_sheet(dataset, args.output_dir, args.num_images))


if __name__ == "__main__":
    run(main)
