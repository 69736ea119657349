"""Logging: a line a print interval, a JSON line an epoch, TensorBoard and W&B if asked for."""

import datetime
import json
import logging
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from utils.dist import all_reduce_sum, is_main_process, world_size
from utils.files import atomic_path


def setup_logging() -> None:
    """Log to standard output: information from the main process, warnings from every process."""
    logging.basicConfig(
        level=logging.INFO if is_main_process() else logging.WARNING,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stdout,
        force=True,
    )


class LossWindow:
    """Losses of the steps since the last look, kept on the device so that no step waits for it."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, dict[str, Tensor]]] = []

    def add(self, step: int, losses: dict[str, Tensor]) -> None:
        """losses: name -> scalar without graph."""
        self._steps.append((step, losses))

    def read(self) -> list[tuple[int, dict[str, float]]]:
        """(step, losses averaged over the processes) of every step, and start anew; every process
        calls it.
        """
        if not self._steps:
            return []
        names = sorted({name for _, losses in self._steps for name in losses})
        table = torch.stack(
            [torch.stack([losses[n].float() for n in names]) for _, losses in self._steps]
        )
        table = (all_reduce_sum(table) / world_size()).tolist()
        steps = [step for step, _ in self._steps]
        self._steps = []
        return [
            (s, dict(zip(names, row, strict=True))) for s, row in zip(steps, table, strict=True)
        ]


class Averages:
    """Running means of an epoch, without the steps whose value was not finite."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: dict[str, float]) -> None:
        """values: name -> value of one step."""
        for name, value in values.items():
            if math.isfinite(value):
                self._sums[name] = self._sums.get(name, 0.0) + value
                self._counts[name] = self._counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """name -> mean."""
        return {name: total / self._counts[name] for name, total in self._sums.items()}


class Stopwatch:
    """Splits the wall clock of an epoch into waiting for data and the rest, in seconds."""

    def __init__(self) -> None:
        self.started = self._mark = time.perf_counter()
        self.data = 0.0
        self.steps = 0

    def start_step(self) -> None:
        """Call before the next batch is asked for."""
        self._mark = time.perf_counter()

    def got_data(self) -> None:
        """Call when the batch is there."""
        self.data += time.perf_counter() - self._mark
        self.steps += 1

    def summary(self, remaining: int) -> str:
        """Mean time a step, the part of it that waited for data, and the time `remaining` steps
        will take.
        """
        per_step = (time.perf_counter() - self.started) / max(self.steps, 1)
        eta = datetime.timedelta(seconds=round(per_step * remaining))
        return f"time {per_step:.3f} s  data {self.data / max(self.steps, 1):.3f} s  eta {eta}"


def format_losses(losses: dict[str, float]) -> str:
    """`total 1.2  grad_norm 5.6  text_removal/msr 0.4  ...`: what holds for all tasks first."""
    names = sorted(losses, key=lambda name: ("/" in name, name != "total", name))
    return "  ".join(f"{name} {losses[name]:.4f}" for name in names)


class RunLog:
    """Files of a training run: `config.yaml`, `log.txt` and, when asked for, TensorBoard and W&B.

    Only the main process writes.

    Args:
        output_dir: folder of the run.
        config: every option as resolved.
        start_epoch: the first that will be written; lines of later ones in an old log are dropped.
        tensorboard: write event files to `output_dir/tensorboard`.
        wandb: log to Weights & Biases.
    """

    def __init__(
        self,
        output_dir: Path,
        config: dict[str, Any],
        start_epoch: int,
        tensorboard: bool,
        wandb: bool,
    ) -> None:
        self._file = output_dir / "log.txt"
        self._writer = self._wandb = None
        if not is_main_process():
            return
        with atomic_path(output_dir / "config.yaml") as path:
            path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        if self._file.exists():
            self._keep_before(start_epoch)
        if tensorboard:
            self._writer = _import_tensorboard()(log_dir=str(output_dir / "tensorboard"))
        if wandb:
            self._wandb = _import_wandb().init(
                project="upocr", dir=str(output_dir), config=config, resume="allow"
            )

    def _keep_before(self, epoch: int) -> None:
        lines = self._file.read_text(encoding="utf-8").splitlines(keepends=True)
        try:
            kept = [line for line in lines if json.loads(line)["epoch"] < epoch]
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"{self._file}: not a log of this program, move it away") from None
        with atomic_path(self._file) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")

    def write(self, epoch: int, record: dict[str, Any]) -> None:
        """Append a JSON line; its numbers also go to TensorBoard and W&B."""
        if not is_main_process():
            return
        with self._file.open("a") as file:
            file.write(json.dumps({"epoch": epoch, **record}) + "\n")
        numbers = {name: n for name, n in _flatten(record).items() if isinstance(n, int | float)}
        if self._writer is not None:
            for name, number in numbers.items():
                self._writer.add_scalar(name, number, epoch)
            self._writer.flush()
        if self._wandb is not None:
            self._wandb.log(numbers, step=epoch)


def _flatten(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in record.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{name}/")
        else:
            flat[prefix + name] = value
    return flat


def _import_tensorboard() -> type:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - optional
    except ImportError:
        raise ValueError("--tensorboard true needs the package tensorboard") from None
    return SummaryWriter


def _import_wandb() -> Any:
    try:
        import wandb  # noqa: PLC0415 - optional
    except ImportError:
        raise ValueError("--wandb true needs the package wandb") from None
    return wandb
