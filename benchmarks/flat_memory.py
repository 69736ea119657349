"""Resident memory over long runs, as a picture: `python -m benchmarks.flat_memory`."""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from benchmarks.large_image import make_image
from benchmarks.measure import in_fresh_process
from benchmarks.training import SWAPPED, Setting, make_step
from upocr import UPOCR
from utils.cli import Parser, positive_int, run, say
from utils.files import atomic_path, write_json
from utils.memory import resident_memory

Curve = list[tuple[int, float]]  # (steps done, resident GiB)
SAMPLES = 500  # points of a curve, at most
SETTLED = 0.2  # share of a run after which memory is to stay


def curve(steps: Iterator[object], total: int, name: str) -> Curve:
    """Resident memory after some of the steps, the first and the last one among them."""
    every = max(1, total // SAMPLES)
    points = []
    for done, _ in enumerate(tqdm(steps, total=total, desc=name), start=1):
        if done % every == 0 or done in (1, total):
            points.append((done, resident_memory() / 2**30))
    return points


def small_pictures(count: int) -> Curve:
    """All tasks on `count` pictures of many sizes, written to disk."""
    model = UPOCR.from_pretrained(None, "cpu")
    rng = np.random.default_rng(0)

    def steps() -> Iterator[object]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "small.jpg"
            for _ in range(count):
                height, width = rng.integers(64, 400, 2)
                Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(path)
                for result in model.run(path).values():
                    result.save(folder)
                yield None

    return curve(steps(), count, "pictures")


def large_scan(width: int, height: int) -> Curve:
    """All tasks on one scan; a step is a window."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.jpg"
        in_fresh_process(make_image, path, width, height)
        model = UPOCR.from_pretrained(None, "cpu")
        total = model.num_windows((height, width))
        points: Curve = [(0, resident_memory() / 2**30)]
        with tqdm(total=total, desc="windows") as bar:

            def progress(count: int) -> None:
                bar.update(count)
                points.append((int(bar.n), resident_memory() / 2**30))

            for result in model.run(path, progress=progress).values():
                result.save(folder)
        return [*points[:: max(1, len(points) // SAMPLES)], (total, resident_memory() / 2**30)]


def training_steps(count: int, side: int) -> Curve:
    """Training steps of upocr_nano on random batches."""
    step = make_step(Setting("upocr_nano", side, batch_size=1), SWAPPED, torch.float32)
    return curve((step() for _ in range(count)), count, "steps")


def growth(points: Curve) -> float:
    """Median of the last tenth of a settled run minus that of its first tenth, in GiB."""
    settled = [memory for _, memory in points[int(SETTLED * len(points)) :]]
    tenth = max(1, len(settled) // 10)
    return float(np.median(settled[-tenth:]) - np.median(settled[:tenth]))


def draw(curves: dict[str, Curve], path: Path) -> None:
    """A panel per run, as PNG."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - for development only
    except ImportError:
        raise ValueError("this command needs matplotlib: pip install matplotlib") from None
    figure = Figure(figsize=(4 * len(curves), 3), layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False).ravel()
    for panel, (name, points) in zip(panels, curves.items(), strict=True):
        panel.plot(*zip(*points, strict=True))
        panel.set_title(name, fontsize=9)
        panel.set_ylim(bottom=0)
        panel.set_ylabel("resident GiB", fontsize=8)
        panel.grid(alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(
        prog="python -m benchmarks.flat_memory",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--pictures", type=positive_int, default=1000, help="small pictures in one run")
    add("--width", type=positive_int, default=12000, help="of the scan")
    add("--height", type=positive_int, default=9000, help="of the scan")
    add("--steps", type=positive_int, default=5000, help="training steps")
    add("--side", type=positive_int, default=64, help="of the training images")
    add("--output", type=Path, default=Path("output/flat_memory.png"), help="picture to write")
    add("--json", type=Path, help="also write the curves to this file")
    return parser


def main() -> None:
    """Run each in a process of its own, draw, and say how much memory grew."""
    args = build_parser().parse_args()
    runs: dict[str, tuple[Callable[..., Curve], Sequence[int]]] = {
        f"{args.pictures} small pictures": (small_pictures, [args.pictures]),
        f"one scan of {args.width} x {args.height}": (large_scan, [args.width, args.height]),
        f"{args.steps} training steps": (training_steps, [args.steps, args.side]),
    }
    curves = {name: in_fresh_process(call, *numbers) for name, (call, numbers) in runs.items()}
    for name, points in curves.items():
        peak = max(memory for _, memory in points)
        say(f"{name}: at most {peak:.2f} GiB, growth once settled {growth(points):+.3f} GiB")
    draw(curves, args.output)
    if args.json:
        write_json(args.json, curves)
    say(str(args.output))


if __name__ == "__main__":
    run(main)
