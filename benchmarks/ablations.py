"""Joint training against single tasks and no prompts: `python -m benchmarks.ablations`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.measure import SYNTHETIC, report, synthetic_configs, write_json
from eval.records import METRICS, figure, read_metrics
from models import VARIANTS
from tasks import OFFICIAL_TASKS
from utils import files
from utils.cli import Parser, positive_int, run

ROOT = Path(__file__).resolve().parent.parent
# Task -> its figure of merit: name, keys into the record of a data set.
FIGURES = {
    "text_removal": ("PSNR, dB", "strict/psnr"),
    "tampered_text_detection": ("mean IoU", "mean_iou"),
    "text_segmentation": ("fgIoU", "fg_iou"),
}
# Without pre-trained weights text removal has by far the largest gradients and delays the others.
WEIGHTS = ("text_removal=0.2", "tampered_text_detection=2.5", "text_segmentation=2.5")
STEPS_PER_EPOCH = 50
COMMANDS = "commands.json"  # behind a model and its figures


def runs() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Name -> the tasks of a model, and its further options."""
    alone = {f"{task} alone": ((task,), ()) for task in OFFICIAL_TASKS}
    without = {"joint, no task prompts": (OFFICIAL_TASKS, ("--task_prompts", "false"))}
    return {"joint": (OFFICIAL_TASKS, ()), **without, **alone}


def _epochs(steps: int) -> int:
    return max(1, steps // STEPS_PER_EPOCH)


def commands(
    tasks: tuple[str, ...], further: tuple[str, ...], folder: Path, args: Any
) -> list[list[str]]:
    """Training and evaluation of one model, with equally many samples per step for every model."""
    launcher = ["-m", "torch.distributed.run", "--standalone"]
    launcher += [f"--nproc_per_node={args.processes}", "main.py"]
    epochs = _epochs(args.steps)
    training = [
        *("--variant", args.variant, "--pix2pix_size", args.side, "--vgg16_weights", "none"),
        *("--amp", "true", "--compile", args.compile, "--data_root", args.data_root.resolve()),
        *("--data_cfg_paths", *synthetic_configs("train", tasks)),
        *("--batch_size", args.batch_size * len(OFFICIAL_TASKS) // len(tasks), "--num_workers", 1),
        *("--epochs", epochs, "--iter_per_epoch", STEPS_PER_EPOCH, "--warmup_epochs", 1),
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
    """The figure of every task, None if the model was not trained on it."""
    metrics = read_metrics(folder / METRICS)
    return {
        f"{task}: {name}": figure(metrics[SYNTHETIC[task]], keys) if task in tasks else None
        for task, (name, keys) in FIGURES.items()
    }


def _claim(folder: Path, lines: list[list[str]]) -> None:
    """Record the commands that fill the folder; ValueError if it was filled by others."""
    note = folder / COMMANDS
    if not folder.exists():
        files.write_json(note, lines)
    elif files.read_json(note) != lines:
        raise ValueError(f"{note}: made with other options, choose another --output_dir")


def _is_tested(folder: Path, tasks: tuple[str, ...]) -> bool:
    """Whether the figures of all tasks exist."""
    metrics = read_metrics(folder / METRICS) if (folder / METRICS).exists() else {}
    return all(SYNTHETIC[task] in metrics for task in tasks)


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.ablations", description=__doc__)
    add = parser.add_argument
    add("--output_dir", type=Path, required=True, help="gets one folder per model")
    add("--data_root", type=Path, default=Path("data"), help="training data: synthetic/ in it")
    add("--test_root", type=Path, default=Path("data"), help="test data: synthetic/ in it")
    add("--variant", choices=sorted(VARIANTS), default="upocr_nano")
    add("--side", type=positive_int, default=256, help="side of the training crops in pixels")
    add("--test_side", type=positive_int, default=512, help="side of the test pictures in pixels")
    add(
        "--steps",
        type=positive_int,
        default=1000,
        help="steps per model",
    )
    add("--batch_size", type=positive_int, default=1, help="samples per task, process and step")
    add("--processes", type=positive_int, default=2)
    add("--compile", choices=("true", "false"), default="true")
    add("--seed", type=int, default=1)
    add("--json", type=Path, help="write the figures to this file")
    return parser


def main() -> None:
    """Train and test one model after the other; finished ones are skipped."""
    args = build_parser().parse_args()
    rows = []
    for name, (tasks, further) in runs().items():
        folder = args.output_dir.resolve() / name.replace(", ", "_").replace(" ", "_")
        lines = commands(tasks, further, folder, args)
        _claim(folder, lines)
        if not _is_tested(folder, tasks):
            for line in lines:
                if code := subprocess.run(line, cwd=ROOT, check=False).returncode:
                    raise ValueError(f"{name}: {line[-1]}: main.py ended with exit code {code}")
        rows.append({"model": name, **figures(folder, tasks)})
    samples = args.batch_size * len(OFFICIAL_TASKS) * args.processes
    title = f"{args.variant}, {_epochs(args.steps) * STEPS_PER_EPOCH} steps of {samples} samples"
    write_json(args.json, {}, [report(f"{title} of {args.side} pixels", rows, {})])


if __name__ == "__main__":
    run(main)
