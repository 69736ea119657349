"""The data sets of an evaluation: options and loop that tools share."""

import argparse
from collections.abc import Iterator, Sequence

from datasets import TextDataset, build_dataset


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add `--eval_data_cfg_path` and `--data_root`."""
    add = parser.add_argument
    add("--eval_data_cfg_path", nargs="+", required=True, help="as for the evaluation")
    add("--data_root", default="data", help="as for the evaluation")


def evaluated_datasets(config_paths: Sequence[str], data_root: str) -> Iterator[TextDataset]:
    """Build the data set of each YAML file; raises ValueError as `build_dataset`."""
    for path in config_paths:
        # Tools read images at the size of the files: the input size of the network is irrelevant.
        yield build_dataset(path, image_size=32, data_root=data_root)
