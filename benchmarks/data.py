"""Samples a second that a process reads and transforms: `python -m benchmarks.data`."""

import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks.measure import print_machine, report, synthetic_configs, write_json
from datasets import MultiTaskLoader, TextDataset, build_dataset
from utils.cli import Parser, positive_int, run


def decode_all(dataset: TextDataset, indices: list[int]) -> float:
    """Seconds in which Pillow alone decodes the image files of the samples: the least there is."""
    start = time.perf_counter()
    for index in indices:
        item = dataset.items[index]
        for path in (item.image, item.label, item.mask):
            if path is not None and path.suffix.lower() != ".txt":
                with Image.open(path) as image:
                    image.load()
    return time.perf_counter() - start


def make_all(dataset: TextDataset, indices: list[int]) -> float:
    """Seconds in which the samples are ready for training: read, transformed, as tensors."""
    start = time.perf_counter()
    for seed, index in enumerate(indices):
        dataset[index, seed]
    return time.perf_counter() - start


def through_loader(datasets: list[TextDataset], batches: int, workers: int) -> float:
    """Seconds of joint batches of one sample of every data set, workers started before."""
    loader = MultiTaskLoader(datasets, 1, 0, workers)
    next(loader)
    start = time.perf_counter()
    for _ in islice(loader, batches):
        pass
    return time.perf_counter() - start


def measure(datasets: list[TextDataset], samples: int, workers: list[int]) -> list[dict[str, Any]]:
    """One table a data set and process, and one for the loader."""
    rows = []
    for dataset in datasets:
        indices = list(islice(cycle(range(len(dataset))), samples))
        decode_all(dataset, indices)  # the files are in memory from here on
        decode, make = decode_all(dataset, indices), make_all(dataset, indices)
        rows.append(
            {
                "data set": dataset.name,
                "decoded/s": samples / decode,
                "samples/s": samples / make,
                "share of decoding": decode / make,
            }
        )
    joint = [
        {
            "workers": count,
            "samples/s": len(datasets) * samples / through_loader(datasets, samples, count),
        }
        for count in workers
    ]
    return [
        report("one process", rows, {}),
        report("joint loader, one sample of every data set a batch", joint, {}),
    ]


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.data", description=__doc__)
    add = parser.add_argument
    add("--configs", type=Path, nargs="+", default=synthetic_configs("train"))
    add("--data_root", type=Path, default=Path("data"), help="folder of the data sets")
    add("--side", type=positive_int, default=512, help="of the samples, in pixels")
    add("--samples", type=positive_int, default=200, help="read of every data set")
    add("--workers", type=int, nargs="+", default=[0, 1, 2])
    add("--json", type=Path, help="write the figures to this file")
    return parser


def main() -> None:
    """The command."""
    args = build_parser().parse_args()
    torch.set_num_threads(1)  # as in a worker of the loader
    datasets = [build_dataset(path, args.side, args.data_root) for path in args.configs]
    rates = print_machine()
    write_json(args.json, rates, measure(datasets, args.samples, args.workers))


if __name__ == "__main__":
    run(main)
