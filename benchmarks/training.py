"""Time and memory per training step, plain and accelerated: `python -m benchmarks.training`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

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
from datasets import MultiTaskLoader, build_dataset
from engine import train_one_epoch
from models import VARIANTS, build_criterion, build_upocr, build_vgg16
from models.fast import checkpoint_blocks, for_training
from tasks import OFFICIAL_TASKS
from utils.batch import Batch
from utils.cli import BOOL, Parser, positive_int, run
from utils.logger import StepLog
from utils.memory import keep_freed_memory
from utils.optim import build_optimizer

CPU = torch.device("cpu")
PLAIN = "plain"  # and as glibc manages memory by default
KEPT = "plain, memory kept"
SWAPPED, CHECKPOINTED, COMPILED = "swapped", "swapped, checkpointed", "swapped, compiled"
KINDS = (PLAIN, KEPT, SWAPPED, CHECKPOINTED)

Step = Callable[[], float]  # returns the loss


@dataclass(frozen=True)
class Setting:
    """The work of a step.

    Args:
        variant: of `models.VARIANTS`.
        side: of the images in pixels.
        batch_size: samples per task or data set.
        vgg16_weights: see `models.build_vgg16`.
        configs: data configurations to read; empty for one random batch.
        data_root: folder of the data sets.
        num_workers: loader processes.
    """

    variant: str
    side: int
    batch_size: int
    vgg16_weights: str = "none"
    configs: Sequence[Path] = ()
    data_root: Path = Path("data")
    num_workers: int = 1

    def batches(self) -> Iterator[Batch]:
        """Endless batches of the loader, or the same random batch."""
        if self.configs:
            sets = [build_dataset(path, self.side, self.data_root) for path in self.configs]
            return iter(MultiTaskLoader(sets, self.batch_size, 0, self.num_workers))
        return _repeated(random_batch(self.side, self.batch_size))

    @property
    def num_samples(self) -> int:
        """Samples per step."""
        return self.batch_size * len(self.configs or OFFICIAL_TASKS)


def _repeated(batch: Batch) -> Iterator[Batch]:
    while True:
        yield batch


def random_batch(side: int, batch_size: int) -> Batch:
    """A batch of `batch_size` samples per official task."""
    tasks = [task for task in OFFICIAL_TASKS for _ in range(batch_size)]
    draw = torch.Generator().manual_seed(0)
    images, labels = (
        torch.randint(256, (len(tasks), 3, side, side), dtype=torch.uint8, generator=draw)
        for _ in range(2)
    )
    masks = torch.randint(2, (len(tasks), 1, side, side), dtype=torch.uint8, generator=draw)
    return Batch(images, labels, 255 * masks, tasks, tasks)


def make_step(setting: Setting, kind: str, dtype: torch.dtype) -> Step:
    """A whole training step of one of `KINDS` or `COMPILED`."""
    if kind != PLAIN:
        keep_freed_memory()  # like main.py
    torch.manual_seed(0)
    model = build_upocr(setting.variant, scratch_init=True)
    checkpointed = kind == CHECKPOINTED
    checkpoint_blocks(model, encoder=checkpointed, decoder=checkpointed)
    if kind not in (PLAIN, KEPT):
        for_training(model)
    criterion = build_criterion(OFFICIAL_TASKS, build_vgg16(setting.vgg16_weights))
    optimizer = build_optimizer(model, 1e-5, 0.1, 0.05)
    network: Any = torch.compile(model) if kind == COMPILED else model
    batches = setting.batches()

    def step() -> float:
        losses = train_one_epoch(
            network,
            criterion,
            batches,
            optimizer,
            torch.amp.GradScaler("cpu", enabled=False),
            StepLog(0, 1, 1, 1, optimizer, CPU),
            device=CPU,
            amp_dtype=None if dtype == torch.float32 else dtype,
            clip_max_norm=0.0,
        )
        return losses["total"]

    return step


def measure(setting: Setting, kind: str, dtype: str, steps: int) -> tuple[list[float], float]:
    """Seconds of `steps` steps after two others, and the peak memory of the process in GiB."""
    step = make_step(setting, kind, DTYPES[dtype])
    return interleave({kind: step}, steps, warmup=2)[kind], peak_gib()


def compare(
    setting: Setting, kinds: Sequence[str], dtype: str, steps: int, repeats: int
) -> dict[str, Any]:
    """The table of one type.

    The kinds take turns, each time in a process of its own: memory that one leaves behind would
    slow down or speed up the next.
    """
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    peaks = dict.fromkeys(kinds, 0.0)
    for kind in [*kinds] * repeats:
        times, peak = in_fresh_process(measure, setting, kind, dtype, steps)
        seconds[kind] += times
        peaks[kind] = max(peaks[kind], peak)
    rows = [
        {
            "swaps": kind,
            "seconds": median(times),
            "samples/s": setting.num_samples / median(times),
            "of plain": median(times) / median(seconds[KEPT]),
            "peak GiB": peaks[kind],
            "peak of plain": peaks[kind] / peaks[KEPT],
        }
        for kind, times in seconds.items()
    ]
    side = setting.side
    title = f"{setting.variant}, {setting.num_samples} samples of {side} x {side}, {dtype}; "
    return report(title + f"of plain: of '{KEPT}'", rows, {"seconds": seconds})


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.training", description=__doc__)
    add = parser.add_argument
    add("--variant", choices=sorted(VARIANTS), default="upocr")
    add("--side", type=positive_int, default=512, help="side of the images in pixels")
    add("--batch_size", type=positive_int, default=1, help="samples per task")
    add("--dtypes", nargs="+", choices=list(DTYPES), default=list(DTYPES))
    add("--vgg16_weights", default="random", help="imagenet, random, none or a file")
    add("--compile", **BOOL, default=False, help="include torch.compile")
    add("--repeats", type=positive_int, default=3, help="turns, each in a new process")
    add("--steps", type=positive_int, default=1, help="timed steps per turn, after two others")
    add("--num_threads", type=positive_int, default=torch.get_num_threads())
    add("--data_cfg_paths", type=Path, nargs="+", default=[], help="read these data sets")
    add("--data_root", type=Path, default=Path("data"), help="folder of the data sets")
    add("--num_workers", type=int, default=1, help="loader processes")
    add("--json", type=Path, help="write the figures to this file")
    return parser


def main() -> None:
    """The command."""
    args = build_parser().parse_args()
    torch.set_num_threads(args.num_threads)
    rates = print_machine()
    setting = Setting(
        args.variant,
        args.side,
        args.batch_size,
        args.vgg16_weights,
        args.data_cfg_paths,
        args.data_root,
        args.num_workers,
    )
    kinds = [*KINDS, COMPILED] if args.compile else list(KINDS)
    reports = [compare(setting, kinds, dtype, args.steps, args.repeats) for dtype in args.dtypes]
    write_json(args.json, rates, reports)


if __name__ == "__main__":
    run(main)
