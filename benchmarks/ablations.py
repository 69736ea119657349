"""Joint training, single tasks, no task prompts: `python -m benchmarks.ablations`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.measure import SYNTHETIC, report, synthetic_configs, write_json
from eval.records import METRICS, figure, read_metrics
from models import TASKS
from models.build import VARIANTS
from utils import files
from utils.cli import Parser, positive_int, run

ROOT = Path(__file__).resolve().parent.parent
# Task -> its figure: name, keys into the record of a data set.
FIGURES = {
    "text_removal": ("PSNR, dB", "strict/psnr"),
    "tampered_text_detection": ("mean IoU", "mean_iou"),
    "text_segmentation": ("fgIoU", "fg_iou"),
}
# From scratch text removal has by far the largest gradients, and the others wait for it.
WEIGHTS = ("text_removal=0.2", "tampered_text_detection=2.5", "text_segmentation=2.5")
STEPS_AN_EPOCH = 50
COMMANDS = "commands.json"  # that made a model and its figures


def runs() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Name -> the tasks that a model is trained on, and its further options."""
    alone = {f"{task} alone": ((task,), ()) for task in TASKS}
    without = {"joint, no task prompts": (TASKS, ("--task_prompts", "false"))}
    return {"joint": (TASKS, ()), **without, **alone}


def _epochs(steps: int) -> int:
    return max(1, steps // STEPS_AN_EPOCH)


def commands(
    tasks: tuple[str, ...], further: tuple[str, ...], folder: Path, args: Any
) -> list[list[str]]:
    """Training and evaluation of one model; every model sees equally many samples in a step."""
    launcher = ["-m", "torch.distributed.run", "--standalone"]
    launcher += [f"--nproc_per_node={args.processes}", "main.py"]
    epochs = _epochs(args.steps)
    training = [
        *("--variant", args.variant, "--pix2pix_size", args.side, "--vgg16_weights", "none"),
        *("--amp", "true", "--compile", args.compile, "--data_root", args.data_root.resolve()),
        *("--data_cfg_paths", *synthetic_configs("train", tasks)),
        *("--batch_size", args.batch_size * len(TASKS) // len(tasks), "--num_workers", 1),
        *("--epochs", epochs, "--iter_per_epoch", STEPS_AN_EPOCH, "--warmup_epochs", 1),
        *("--lr", 1e-3, "--lr_encoder_ratio", 1, "--task_weights", *WEIGHTS),
        *("--seed", args.seed, "--save_interval", epochs, "--overwrite", "true", *further),
    ]
    evaluation = [
        *("--eval", "true", "--resume", folder / "checkpoint_last.pth", "--num_workers", 0),
        *("--pix2pix_size", args.test_side, "--data_root", args.test_root.resolve()),
        *("--eval_data_cfg_path", *synthetic_configs("eval", tasks)),
    ]
    both = ([*launcher, *training], ["main.py", *evaluation])
    return [[sys.executable, *map(str, (*line, "--output_dir", folder))] for line in both]


def figures(folder: Path, tasks: tuple[str, ...]) -> dict[str, float | None]:
    """The figure of every task, None where the model was not trained on it."""
    metrics = read_metrics(folder / METRICS)
    return {
        f"{task}: {name}": figure(metrics[SYNTHETIC[task]], keys) if task in tasks else None
        for task, (name, keys) in FIGURES.items()
    }


def _claim(folder: Path, lines: list[list[str]]) -> None:
    """Note the commands that fill the folder; ValueError where others were at work."""
    note = folder / COMMANDS
    if not folder.exists():
        files.write_json(note, lines)
    elif files.read_json(note) != lines:
        raise ValueError(f"{note}: made with other options, choose another --output_dir")


def _is_tested(folder: Path, tasks: tuple[str, ...]) -> bool:
    """Whether the figures of all tasks are there."""
    metrics = read_metrics(folder / METRICS) if (folder / METRICS).exists() else {}
    return all(SYNTHETIC[task] in metrics for task in tasks)


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.ablations", description=__doc__)
    add = parser.add_argument
    add("--output_dir", type=Path, required=True, help="a folder in it for every model")
    add("--data_root", type=Path, default=Path("data"), help="synthetic/ below it is trained on")
    add("--test_root", type=Path, default=Path("data"), help="synthetic/ below it is tested on")
    add("--variant", choices=sorted(VARIANTS), default="upocr_nano")
    add("--side", type=positive_int, default=256, help="of the crops in training, in pixels")
    add("--test_side", type=positive_int, default=512, help="of the test pictures, in pixels")
    add("--steps", type=positive_int, default=1000, help=f"of every model; whole {STEPS_AN_EPOCH}s")
    add("--batch_size", type=positive_int, default=1, help="samples of each task, process and step")
    add("--processes", type=positive_int, default=2)
    add("--compile", choices=("true", "false"), default="true")
    add("--seed", type=int, default=1)
    add("--json", type=Path, help="write the figures to this file")
    return parser


def main() -> None:
    """Train and test one model after the other; what is tested already is not made again."""
    args = build_parser().parse_args()
    rows = []
    for name, (tasks, further) in runs().items():
        folder = args.output_dir.resolve() / name.replace(", ", "_").replace(" ", "_")
        lines = commands(tasks, further, folder, args)
        _claim(folder, lines)
        if not _is_tested(folder, tasks):
            for line in lines:
                if code := subprocess.run(line, cwd=ROOT, check=False).returncode:
                    raise ValueError(f"{name}: {line[-1]}: training or test ended with {code}")
        rows.append({"model": name, **figures(folder, tasks)})
    samples = args.batch_size * len(TASKS) * args.processes
    title = f"{args.variant}, {_epochs(args.steps) * STEPS_AN_EPOCH} steps of {samples} samples"
    write_json(args.json, {}, [report(f"{title} of {args.side} pixels", rows, {})])


if __name__ == "__main__":
    run(main)
