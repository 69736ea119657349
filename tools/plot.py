"""Command: losses, learning rate, gradients, task gap and validation of training runs as PNG."""

import argparse
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import options
from datasets.config import read_config
from eval import EVALUATORS
from utils.cli import Parser, run, say
from utils.files import atomic_path, read_text
from utils.logger import whole_lines

Curves = dict[str, dict[int, float]]  # title of a panel -> epoch -> value
LOG, CONFIG = "log.txt", "config.yaml"
COLUMNS, PANEL = 4, (3.6, 2.6)  # panels per row; width and height of one in inches
MAX_EPOCH = 2**31
WIDE = 20  # ratio of the values above which an axis is logarithmic


def read_run(folder: Path) -> Curves:
    """Curves of a run; raises ValueError for a folder without a log of main.py."""
    path = folder / LOG
    if not path.is_file():
        raise ValueError(f"{folder}: no {LOG}, expected the --output_dir of a training")
    tasks = _validated_tasks(folder / CONFIG)
    curves: Curves = {}
    try:
        for line in whole_lines(read_text(path)):
            record = json.loads(line)
            for title, value in _values(record, tasks):
                if isinstance(value, int | float) and math.isfinite(value):
                    curves.setdefault(title, {})[_epoch(record) + 1] = value
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise ValueError(f"{path}: not a log of main.py") from None
    if not curves:
        raise ValueError(f"{path}: has no finished epoch yet")
    return curves


def _epoch(record: Mapping[str, Any]) -> int:
    epoch = record["epoch"]
    if type(epoch) is not int or not 0 <= epoch < MAX_EPOCH:
        raise ValueError("no epoch")
    return epoch


def _validated_tasks(config: Path) -> dict[str, str]:
    """Name of a validation data set -> its task, as far as the configurations still exist."""
    if not config.is_file():
        return {}
    paths = options.read_config(str(config)).get("val_data_cfg_paths", ())
    found = [read_config(path) for path in paths if Path(path).is_file()]
    return {each.name: each.task for each in found}


def _values(record: Mapping[str, Any], tasks: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """(title of a panel, value) of one epoch: sums first, validation last."""
    train = record["train"]
    yield from ((name, train[name]) for name in ("total", "grad_norm") if name in train)
    yield "lr", record["lr"]
    if "task_gap" in record:
        yield "task_gap", record["task_gap"]
    yield from ((name, value) for name, value in train.items() if "/" in name)
    for dataset, results in record.get("val", {}).items():
        if dataset in tasks:
            for title, keys in EVALUATORS[tasks[dataset]].headline().items():
                yield f"{dataset}: {title}", _nested(results, keys)


def _nested(results: Any, keys: str) -> Any:
    for key in keys.split("/"):
        results = results.get(key) if isinstance(results, dict) else None
    return results


def draw(runs: Mapping[str, Curves], output: Path) -> None:
    """Write one panel per curve, with a line per run, as PNG."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - optional
        from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - optional
    except ImportError:
        raise ValueError("this command needs matplotlib: pip install matplotlib") from None
    titles = list(dict.fromkeys(title for curves in runs.values() for title in curves))
    rows = -(-len(titles) // COLUMNS)
    figure = Figure(figsize=(PANEL[0] * COLUMNS, PANEL[1] * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for panel in panels[len(titles) :]:
        panel.remove()
    for panel, title in zip(panels, titles, strict=False):
        for name, curves in runs.items():
            points = curves.get(title, {})
            marker = "o" if len(points) < 20 else None
            panel.plot(list(points), list(points.values()), label=name, marker=marker, markersize=3)
        panel.set_title(title, fontsize=9)
        panel.grid(alpha=0.3)
        panel.set_xlabel("epoch", fontsize=8)
        panel.tick_params(labelsize=8)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        values = [value for curves in runs.values() for value in curves.get(title, {}).values()]
        if min(values) > 0 and max(values) / min(values) > WIDE:
            panel.set_yscale("log")
    if len(runs) > 1:
        panels[0].legend(fontsize=8)
    with atomic_path(output) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("runs", type=Path, nargs="+", help="--output_dir of trainings, drawn in one picture")
    add("--output", type=Path, help="PNG to write; by default curves.png in the first run")
    return parser


def main() -> None:
    """Read, draw, say where."""
    args = build_parser().parse_args()
    output = args.output or args.runs[0] / "curves.png"
    draw({folder.name: read_run(folder) for folder in args.runs}, output)
    say(str(output))


if __name__ == "__main__":
    run(main)
