"""Logs: a line per print interval, a JSON line per epoch, TensorBoard and W&B on request."""

import datetime
import json
import logging
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from utils.dist import all_reduce_sum, is_main_process, peak_memory_mib, world_size
from utils.files import atomic_path, read_text
from utils.quote import printable

logger = logging.getLogger(__name__)


def setup_logging() -> None:
    """Log to standard output: all messages of the main process, warnings of the others."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Printable("%(asctime)s %(message)s", "%H:%M:%S"))
    level = logging.INFO if is_main_process() else logging.WARNING
    logging.basicConfig(level=level, handlers=[handler], force=True)


class _Printable(logging.Formatter):
    """Keeps names of files in messages from steering the terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - its name in logging
        return printable(super().formatMessage(record))


class DivergenceError(ValueError):
    """A loss or a gradient is not finite; the message names the step and the terms."""


# Consecutive steps that a gradient scaler may skip: it starts at 2**16 and halves at each of them.
SCALER_PATIENCE = 40


class StepLog:
    """The log of one epoch: a line every `print_freq` steps, and the means at its end.

    Losses stay on the device between two lines, so that no step waits for it.

    Args:
        epoch, epochs: counted from 0, and their number.
        iterations: steps per epoch.
        print_freq: steps per line.
        optimizer: its learning rate is printed.
        device: its peak memory is printed.
        patience: consecutive steps with a loss or gradient that is not finite before a
            `DivergenceError`, see `SCALER_PATIENCE`.
    """

    def __init__(
        self,
        epoch: int,
        epochs: int,
        iterations: int,
        print_freq: int,
        optimizer: torch.optim.Optimizer,
        device: torch.device,
        patience: int = 0,
    ) -> None:
        self.epoch, self.epochs, self.iterations = epoch, epochs, iterations
        self.print_freq, self.patience = print_freq, patience
        self._optimizer, self._device = optimizer, device
        self._pending: list[tuple[int, dict[str, Tensor]]] = []
        self._averages = Averages()
        self._started = self._mark = time.perf_counter()
        self._waited = 0.0  # seconds, for data
        self._not_finite = 0  # consecutive steps

    def steps(self) -> Iterator[int]:
        """Yield the numbers of the steps, from 0."""
        for step in range(self.iterations):
            self._mark = time.perf_counter()
            yield step

    def got_data(self) -> None:
        """Note the arrival of the batch, for the time spent waiting for data."""
        self._waited += time.perf_counter() - self._mark

    def add(self, step: int, losses: dict[str, Tensor]) -> None:
        """Take the losses of a step, scalars without graph; print and check when a line is due."""
        self._pending.append((step, losses))
        if (step + 1) % self.print_freq == 0 or step + 1 == self.iterations:
            self._write_line(step)

    def means(self) -> dict[str, float]:
        """Mean of every loss over the epoch and all processes."""
        return self._averages.means()

    def _write_line(self, step: int) -> None:
        recent = Averages()
        for number, losses in self._read():
            self._check(number, losses)
            self._averages.add(losses)
            recent.add(losses)
        if is_main_process():
            logger.info(
                "epoch %d [%d/%d]  %s  lr %.2e  %s  memory %.0f MiB",
                self.epoch,
                step + 1,
                self.iterations,
                format_losses(recent.means()),
                self._optimizer.param_groups[0]["lr"],
                self._times(step),
                peak_memory_mib(self._device),
            )

    def _read(self) -> list[tuple[int, dict[str, float]]]:
        """(step, losses averaged over the processes) of the pending steps, each once."""
        names = sorted({name for _, losses in self._pending for name in losses})
        table = torch.stack(
            [torch.stack([losses[name].float() for name in names]) for _, losses in self._pending]
        )
        table = all_reduce_sum(table) / world_size()
        steps = [step for step, _ in self._pending]
        self._pending = []
        rows = [dict(zip(names, row, strict=True)) for row in table.tolist()]
        return list(zip(steps, rows, strict=True))

    def _check(self, step: int, losses: dict[str, float]) -> None:
        nouns = {"total": "loss", "grad_norm": "gradient"}
        bad = [noun for name, noun in nouns.items() if not math.isfinite(losses[name])]
        self._not_finite = self._not_finite + 1 if bad else 0
        if self._not_finite > self.patience:
            raise DivergenceError(
                f"{bad[0]} is not finite at epoch {self.epoch}, step {step}: "
                f"{format_losses(losses)}"
            )

    def _times(self, step: int) -> str:
        per_step = (time.perf_counter() - self._started) / (step + 1)
        remaining = (self.epochs - self.epoch) * self.iterations - step - 1
        eta = datetime.timedelta(seconds=round(per_step * remaining))
        return f"time {per_step:.3f} s  data {self._waited / (step + 1):.3f} s  eta {eta}"


class Averages:
    """Running means that leave out values that are not finite."""

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


def format_losses(losses: dict[str, float]) -> str:
    """`total 1.2  grad_norm 5.6  text_removal/msr 0.4  ...`, sums over all tasks first."""
    names = sorted(losses, key=lambda name: ("/" in name, name != "total", name))
    return "  ".join(f"{name} {losses[name]:.4f}" for name in names)


class RunLog:
    """Files of a training run: `config.yaml`, `log.txt`, and on request TensorBoard and W&B.

    Only the main process writes.

    Args:
        output_dir: folder of the run.
        config: content of `config.yaml`.
        start_epoch: first epoch of this run; an old log loses its lines from there on.
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
        lines = whole_lines(read_text(self._file, errors="replace"))
        try:
            kept = [line for line in lines if json.loads(line)["epoch"] < epoch]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise ValueError(f"{self._file}: not a log of this program, move it away") from None
        with atomic_path(self._file) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def write(self, epoch: int, record: dict[str, Any]) -> None:
        """Append a JSON line, and its numbers to TensorBoard and W&B."""
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


def whole_lines(text: str) -> list[str]:
    """Lines of a JSON-lines file, without a last one that a full disk or a power cut has torn."""
    *lines, last = text.split("\n")
    try:
        json.loads(last)
    except (ValueError, RecursionError):
        is_ours = last.startswith("{") or not last.strip("\0")
        return lines if is_ours else [*lines, last]
    return [*lines, last]


def _flatten(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
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
