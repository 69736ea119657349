"""Samples per second and core of the loader, and the cores that GPUs need.

`python -m benchmarks.loading`. Decoding and transforms are timed in processor time of one thread,
which other work on the machine hardly changes. Write data to read with
`python -m synthesis.synthesize --output_dir data/synthetic --num_train 60 --num_test 1 --size 512`,
or name data sets of your own.
"""

import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import machine, report, synthetic_configs, write_json
from datasets import MultiTaskLoader, TextDataset, build_dataset
from utils.cli import Parser, positive_int, run

Clock = Callable[[], float]


def sample_keys(dataset: TextDataset) -> Iterator[tuple[int, int]]:
    """All samples again and again, each time with other random transforms."""
    for seed, index in enumerate(cycle(range(len(dataset)))):
        yield index, seed


def seconds_per_sample(
    dataset: TextDataset, samples: int, clock: Clock = time.process_time
) -> dict[str, float]:
    """Mean seconds of one thread: `decode` files, and `transform` and pack the images."""
    keys = list(islice(sample_keys(dataset), samples + 1))
    dataset[keys[-1]]  # imports codecs
    start = clock()
    for index, _ in keys[:-1]:
        for image in dataset.read(dataset.items[index]).values():
            image.load()
    decoded = clock()
    for key in keys[:-1]:
        dataset[key]
    whole = clock() - decoded
    decode = (decoded - start) / samples
    return {"decode": decode, "transform": whole / samples - decode}


def cores(seconds: dict[str, float], gpus: int, batch_size: int, step: float) -> float:
    """Cores that prepare `batch_size` samples of each data set per GPU and `step` seconds.

    seconds: of one thread per sample, by data set.
    """
    return gpus * batch_size * sum(seconds.values()) / step


def megapixels(dataset: TextDataset, samples: int) -> float:
    """Mean size of the images in 10^6 pixels."""
    images = [dataset.read(item)["image"] for item in dataset.items[:samples]]
    return sum(image.width * image.height for image in images) / len(images) / 1e6


def rate_rows(sets: list[TextDataset], samples: int) -> tuple[list[dict[str, Any]], dict]:
    """The table by data set, and the seconds per sample of each."""
    rows, seconds = [], {}
    for dataset in sets:
        parts = seconds_per_sample(dataset, samples)
        seconds[dataset.name] = sum(parts.values())
        rows.append(
            {
                "data set": dataset.name,
                "megapixels of a file": megapixels(dataset, samples),
                "decode, ms": 1000 * parts["decode"],
                "transform, ms": 1000 * parts["transform"],
                "samples per second and core": 1 / seconds[dataset.name],
            }
        )
    return rows, seconds


def core_rows(seconds: dict[str, float], batch_size: int, steps: list[int]) -> list[dict[str, Any]]:
    """Cores by milliseconds of a step and number of GPUs."""
    return [
        {"step, ms": step}
        | {f"{gpus} GPU": cores(seconds, gpus, batch_size, step / 1000) for gpus in (1, 2, 8)}
        for step in steps
    ]


def training_process(
    sets: list[TextDataset], batch_size: int, num_workers: int, batches: int
) -> dict[str, Any]:
    """What workers leave to the process that trains: its processor time per batch."""
    loader = MultiTaskLoader(sets, batch_size, 0, num_workers)
    next(loader)  # starts the workers
    start, wall = time.process_time(), time.perf_counter()
    for _ in range(batches):
        batch = next(loader)
    seconds = time.process_time() - start
    return {
        "workers": num_workers,
        "samples per batch": len(batch),
        "processor time per batch, ms": 1000 * seconds / batches,
        "samples per second": len(batch) * batches / (time.perf_counter() - wall),
    }


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.loading", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data_cfg_paths", type=Path, nargs="+", default=synthetic_configs("train"))
    add("--data_root", type=Path, default=Path("data"), help="folder of the data sets")
    add("--side", type=positive_int, default=512, help="side of the samples in pixels")
    add("--samples", type=positive_int, default=60, help="per data set")
    add("--batch_size", type=positive_int, default=8, help="samples per data set and GPU")
    add("--num_workers", type=positive_int, default=2, help="loader processes of the last table")
    # The paper's 36 hours for 400 epochs of 200 steps; about what `benchmarks.plan` estimates.
    add("--milliseconds_per_step", type=positive_int, nargs="+", default=[1620, 540])
    add("--json", type=Path, help="write the figures to this file")
    return parser


def main() -> None:
    """The command."""
    args = build_parser().parse_args()
    torch.set_num_threads(1)
    sets = [build_dataset(path, args.side, args.data_root) for path in args.data_cfg_paths]
    print(f"{machine()['processor']}, one thread, samples of {args.side} x {args.side}")
    rows, seconds = rate_rows(sets, args.samples)
    millis = args.milliseconds_per_step
    per_gpu = f"{args.batch_size} samples of each data set per GPU and step"
    reports = [
        report("one core", rows, {}),
        report(f"cores; {per_gpu}", core_rows(seconds, args.batch_size, millis), {}),
    ]
    process = training_process(sets, args.batch_size, args.num_workers, 8)
    reports.append(report("the process that trains", [process], {}))
    write_json(args.json, {}, reports)


if __name__ == "__main__":
    run(main)
