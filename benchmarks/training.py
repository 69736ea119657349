"""Time and memory of a training step, and a naive peer: `python -m benchmarks.training`."""

from collections.abc import Callable, Iterator
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
from models.build import VARIANTS
from models.criterion import build_criterion
from models.vgg import build_vgg16
from utils.cli import Parser, parse_bool, positive_int, run
from utils.memory import keep_freed_memory
from utils.optim import build_optimizer, optimizer_step

CPU = torch.device("cpu")
Batches = Iterator[dict[str, Any]]
NAIVE = ("naive", "naive, memory kept")
KINDS = (*NAIVE, "ours", "ours, checkpointed", "ours, compiled")
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


def make_step(variant: str, kind: str, dtype: torch.dtype, vgg16: str, batches: Batches) -> Step:
    """A whole training step of one of `KINDS`."""
    if kind != "naive":
        keep_freed_memory()  # as main.py does
    torch.manual_seed(0)
    model = build_upocr(variant, scratch_init=True).train()
    criterion = build_criterion(build_vgg16(vgg16))
    network: nn.Module = naive_copy(model) if kind in NAIVE else model
    optimizer = build_optimizer(network, 1e-5, 0.1, 0.05)
    if kind == "ours, checkpointed":
        model.set_grad_checkpointing(True, True)
    if kind == "ours, compiled":
        network = torch.compile(network)
    scaler = torch.amp.GradScaler("cpu", enabled=False)

    def step() -> float:
        batch = next(batches)
        images, labels, masks = (to_device(batch[k], CPU) for k in ("images", "labels", "masks"))
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            outputs = network(images, batch["tasks"])
            total, _ = criterion(outputs, images, labels, masks, batch["tasks"])
        optimizer_step(total, optimizer, scaler, network.parameters(), 0.0)
        return total.item()

    return step


def measure(args: Any, kind: str, dtype: str) -> tuple[list[float], float]:
    """Seconds of `args.steps` steps after two others, and the GiB that this process took at most.

    Fed by one batch, or by a loader that reads data sets.
    """
    batches = random_batches(args.side, args.batch_size)
    if args.data_cfg_paths:
        sets = [build_dataset(path, args.side, args.data_root) for path in args.data_cfg_paths]
        batches = iter(MultiTaskLoader(sets, args.batch_size, 0, args.num_workers))
    step = make_step(args.variant, kind, DTYPES[dtype], args.vgg16_weights, batches)
    seconds = interleave({kind: step}, args.steps, warmup=2)[kind]
    return seconds, peak_gib()


def compare(args: Any) -> list[dict[str, Any]]:
    """A table for every type.

    The kinds take turns, each time in a process of its own: what one leaves in memory would slow
    down or speed up the next.
    """
    kinds = KINDS if args.compile else KINDS[:-1]
    reports = []
    for dtype in args.dtypes:
        seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
        peaks = dict.fromkeys(kinds, 0.0)
        for kind in kinds * args.repeats:
            times, peak = in_fresh_process(measure, args, kind, dtype)
            seconds[kind] += times
            peaks[kind] = max(peaks[kind], peak)
        samples = args.batch_size * (
            len(args.data_cfg_paths) if args.data_cfg_paths else len(TASKS)
        )
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


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.training", description=__doc__)
    add = parser.add_argument
    add("--variant", choices=sorted(VARIANTS), default="upocr")
    add("--side", type=positive_int, default=512, help="of the images, in pixels")
    add("--batch_size", type=positive_int, default=1, help="samples of each task")
    add("--dtypes", nargs="+", choices=list(DTYPES), default=list(DTYPES))
    add("--vgg16_weights", default="random", help="imagenet, random, none or a file")
    add("--compile", type=parse_bool, default=False, help="also with torch.compile")
    add("--repeats", type=positive_int, default=3, help="turns, each in a new process")
    add("--steps", type=positive_int, default=1, help="timed in a turn, after two that are not")
    add("--num_threads", type=positive_int, default=torch.get_num_threads())
    add("--data_cfg_paths", type=Path, nargs="+", help="feed from these data sets, not one batch")
    add("--data_root", type=Path, default=Path("data"), help="folder of the data sets")
    add("--num_workers", type=int, default=1, help="processes that read the data sets")
    add("--json", type=Path, help="write the figures to this file")
    return parser


def main() -> None:
    """The command."""
    args = build_parser().parse_args()
    torch.set_num_threads(args.num_threads)
    rates = print_machine()
    write_json(args.json, rates, compare(args))


if __name__ == "__main__":
    run(main)
