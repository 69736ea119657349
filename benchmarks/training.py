"""Time and memory of a training step, and a naive peer: `python -m benchmarks.training`."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.measure import (
    DTYPES,
    in_fresh_process,
    interleave,
    median,
    peak_gib,
    print_machine,
    report,
    write_json,
)
from benchmarks.naive import naive_copy
from datasets import MultiTaskLoader, build_dataset
from engine import to_device
from models import TASKS, build_upocr
from models.criterion import build_criterion
from models.upocr import VARIANTS
from models.vgg import build_vgg16
from utils.cli import Parser, parse_bool, run
from utils.memory import FreedMemory
from utils.optim import build_optimizer, optimizer_step

CPU = torch.device("cpu")
Batches = Iterator[dict[str, Any]]
Step = Callable[[], float]  # returns the loss


def random_batches(side: int, batch_size: int) -> Batches:
    """The same batch for ever, as a loader would give it: `batch_size` samples of every task."""
    count = batch_size * len(TASKS)
    draw = torch.Generator().manual_seed(0)
    images, labels = (
        torch.randint(256, (count, 3, side, side), dtype=torch.uint8, generator=draw)
        for _ in range(2)
    )
    masks = 255 * torch.randint(2, (count, 1, side, side), dtype=torch.uint8, generator=draw)
    tasks = [task for task in TASKS for _ in range(batch_size)]
    while True:
        yield {"images": images, "labels": labels, "masks": masks, "tasks": tasks}


def make_steps(
    variant: str, kinds: Sequence[str], dtype: torch.dtype, vgg16: str, batches: Batches
) -> dict[str, Step]:
    """A whole training step of every kind: naive, ours, ours checkpointed, ours compiled.

    They share their weights and the optimizer, so that several fit into memory beside each other.
    """
    torch.manual_seed(0)
    model = build_upocr(variant, scratch_init=True).train()
    criterion = build_criterion(build_vgg16(vgg16))
    optimizer = build_optimizer(model, 1e-5, 0.1, 0.05)
    scaler = torch.amp.GradScaler("cpu", enabled=False)

    def step_of(kind: str) -> Step:
        network: nn.Module = naive_copy(model, shared=True) if kind == "naive" else model
        if kind == "ours, compiled":
            network = torch.compile(network)
        freed = FreedMemory()

        def step() -> float:
            checkpointed = kind == "ours, checkpointed"
            model.set_grad_checkpointing(checkpointed, checkpointed)
            batch = next(batches)
            images, labels, masks = (
                to_device(batch[k], CPU) for k in ("images", "labels", "masks")
            )
            with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
                outputs = network(images, batch["tasks"])
                total, _ = criterion(outputs, images, labels, masks, batch["tasks"])
            optimizer_step(total, optimizer, scaler, network.parameters(), 0.0)
            if kind != "naive":
                freed.give_back()
            return total.item()

        return step

    return {kind: step_of(kind) for kind in kinds}


def make_step(variant: str, kind: str, dtype: torch.dtype, vgg16: str, batches: Batches) -> Step:
    """The step of one kind alone, see `make_steps`."""
    return make_steps(variant, [kind], dtype, vgg16, batches)[kind]


def seconds_of_steps(args: Any, kinds: Sequence[str], dtype: str) -> dict[str, list[float]]:
    """Seconds of every step, of one batch or with the loader that feeds it."""
    batches = random_batches(args.side, args.batch_size)
    if args.data_cfg_paths:
        sets = [build_dataset(path, args.side, args.data_root) for path in args.data_cfg_paths]
        batches = iter(MultiTaskLoader(sets, args.batch_size, 0, args.num_workers))
    steps = make_steps(args.variant, kinds, DTYPES[dtype], args.vgg16_weights, batches)
    return interleave(steps, args.repeats)


def peak_of_step(variant: str, kind: str, dtype: str, vgg16: str, side: int, batch: int) -> float:
    """GiB that two steps take at most, optimizer and all."""
    step = make_step(variant, kind, DTYPES[dtype], vgg16, random_batches(side, batch))
    for _ in range(2):
        step()
    return peak_gib()


def compare(args: Any) -> list[dict[str, Any]]:
    """A table for every type. What was measured gives its memory back before the next begins."""
    kinds = ["naive", "ours", "ours, checkpointed"] + ["ours, compiled"] * args.compile
    reports = []
    for dtype in args.dtypes:
        seconds = in_fresh_process(seconds_of_steps, args, kinds, dtype)
        peaks = {
            kind: in_fresh_process(
                peak_of_step,
                *(args.variant, kind, dtype, args.vgg16_weights, args.side, args.batch_size),
            )
            for kind in kinds
        }
        samples = args.batch_size * len(TASKS)
        rows = [
            {
                "step": kind,
                "seconds": median(times),
                "samples/s": samples / median(times),
                "times naive": median(seconds["naive"]) / median(times),
                "peak GiB": peaks[kind],
                "of naive": peaks[kind] / peaks["naive"],
            }
            for kind, times in seconds.items()
        ]
        title = f"{args.variant}, {samples} samples of {args.side} x {args.side}, {dtype}"
        reports.append(report(title, rows, {"seconds": seconds}))
    return reports


def main() -> None:
    """The command."""
    parser = Parser(prog="python -m benchmarks.training", description=__doc__)
    add = parser.add_argument
    add("--variant", choices=sorted(VARIANTS), default="upocr")
    add("--side", type=int, default=512, help="of the images, in pixels")
    add("--batch_size", type=int, default=1, help="samples of each task")
    add("--dtypes", nargs="+", choices=list(DTYPES), default=list(DTYPES))
    add("--vgg16_weights", default="random", help="imagenet, random, none or a file")
    add("--compile", type=parse_bool, default=False, help="also with torch.compile")
    add("--repeats", type=int, default=3, help="timed steps of each variant")
    add("--num_threads", type=int, default=torch.get_num_threads())
    add("--data_cfg_paths", type=Path, nargs="+", help="feed from these data sets, not one batch")
    add("--data_root", type=Path, default=Path("data"), help="folder of the data sets")
    add("--num_workers", type=int, default=1, help="processes that read the data sets")
    add("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    torch.set_num_threads(args.num_threads)
    rates = print_machine()
    write_json(args.json, rates, compare(args))


if __name__ == "__main__":
    run(main)
