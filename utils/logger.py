"""Logs: a line per print interval, and a JSON line per epoch."""

import datetime
import json
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import torch
import yaml
from torch import Tensor

from utils.dist import all_reduce_sum, is_main_process, peak_memory_mib, world_size
from utils.files import atomic_path, read_text
from utils.quote import printable, quote

logger = logging.getLogger(__name__)


def setup_logging() -> None:
    """Log to standard output: all messages of the main process, warnings of the others."""
    handler = _Handler(sys.stdout)
    handler.setFormatter(_Printable("%(asctime)s %(message)s", "%H:%M:%S"))
    level = logging.INFO if is_main_process() else logging.WARNING
    logging.basicConfig(level=level, handlers=[handler], force=True)


class _Handler(logging.StreamHandler[TextIO]):
    """A full disk or a closed pipe behind standard output ends the log, not the training."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - its name in logging
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


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

    Losses stay on the device between two lines, so that no step waits for it. The epoch may pause
    after any step and go on, also in another process, see `state_dict`.

    Args:
        epoch, epochs: counted from 0, and their number.
        iterations: steps per epoch.
        print_freq: steps per line.
        optimizer: its learning rate is printed.
        device: its peak memory is printed.
        patience: consecutive steps with a loss or gradient that is not finite before a
            `DivergenceError`, see `SCALER_PATIENCE`.
        report: called in the main process with the numbers of every line, such as `train/total`.
        pauses: called after every step with the number of finished ones; true ends `steps`.
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
        report: Callable[[dict[str, float]], None] = lambda numbers: None,
        pauses: Callable[[int], bool] = lambda step: False,
    ) -> None:
        self.epoch, self.epochs, self.iterations = epoch, epochs, iterations
        self.print_freq, self.patience = print_freq, patience
        self._optimizer, self._device, self._report = optimizer, device, report
        self._pending: list[tuple[int, dict[str, Tensor]]] = []
        self.step = 0  # finished ones
        self._pauses = pauses
        self._averages, self._recent = Averages(), Averages()  # of the epoch, since the last line
        self._first = 0  # finished steps at `_started`
        self._started = self._mark = time.perf_counter()
        self._waited = 0.0  # seconds, for data
        self._not_finite = 0  # consecutive steps

    def is_complete(self) -> bool:
        """Whether all steps of the epoch are finished."""
        return self.step >= self.iterations

    def steps(self) -> Iterator[int]:
        """Yield the numbers of the steps that are left, from 0, up to the next pause."""
        while not self.is_complete():
            self._mark = time.perf_counter()
            yield self.step
            self.step += 1
            if self._pauses(self.step):
                self._take_in()
                return

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

    def state_dict(self) -> dict[str, Any]:
        """What the log of the same epoch needs to go on after a pause."""
        return {
            "step": self.step,
            "not_finite": self._not_finite,
            "averages": self._averages.state_dict(),
            "recent": self._recent.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after `state`; raises ValueError for numbers that no log has returned."""
        for name in ("step", "not_finite"):
            if not isinstance(state[name], int) or state[name] < 0:
                raise ValueError(f"{name} of the epoch is {quote(state[name])}")
        self.step = self._first = state["step"]
        self._not_finite = state["not_finite"]
        self._averages.load_state_dict(state["averages"])
        self._recent.load_state_dict(state["recent"])

    def _take_in(self) -> None:
        """Check and count the pending losses, which waits for the device."""
        for number, losses in self._read():
            self._check(number, losses)
            self._averages.add(losses)
            self._recent.add(losses)

    def _write_line(self, step: int) -> None:
        self._take_in()
        means, self._recent = self._recent.means(), Averages()
        if is_main_process():
            lr = self._optimizer.param_groups[0]["lr"]
            logger.info(
                "epoch %d [%d/%d]  %s  lr %.2e  %s  memory %.0f MiB",
                self.epoch + 1,
                step + 1,
                self.iterations,
                format_losses(means),
                lr,
                self._times(step),
                peak_memory_mib(self._device),
            )
            self._report({"lr": lr} | {f"train/{name}": mean for name, mean in means.items()})

    def _read(self) -> list[tuple[int, dict[str, float]]]:
        """(step, losses averaged over the processes) of the pending steps, each once."""
        if not self._pending:
            return []
        names = sorted({name for _, losses in self._pending for name in losses})
        table = torch.stack(
            [torch.stack([losses[name].float() for name in names]) for _, losses in self._pending]
        )
        if world_size() > 1:  # exact sums: the same whatever their order, and for any pauses
            table = table.double()
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
                f"{bad[0]} is not finite at epoch {self.epoch + 1}, step {step + 1}: "
                f"{format_losses(losses)}"
            )

    def _times(self, step: int) -> str:
        here = step + 1 - self._first  # steps of this process
        per_step = (time.perf_counter() - self._started) / here
        remaining = (self.epochs - self.epoch) * self.iterations - step - 1
        eta = datetime.timedelta(seconds=round(per_step * remaining))
        return f"time {per_step:.3f} s  data {self._waited / here:.3f} s  eta {eta}"


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

    def state_dict(self) -> dict[str, tuple[float, int]]:
        """name -> (sum, number of values)."""
        return {name: (total, self._counts[name]) for name, total in self._sums.items()}

    def load_state_dict(self, state: dict[str, tuple[float, int]]) -> None:
        """Continue after `state`; raises ValueError for what is no sum and number."""
        for name, (total, count) in state.items():
            if not isinstance(total, float) or not isinstance(count, int) or count < 1:
                raise ValueError(f"mean of {quote(name)} is {quote((total, count))}")
            self._sums[str(name)], self._counts[str(name)] = total, count


def format_losses(losses: dict[str, float]) -> str:
    """`total 1.2  grad_norm 5.6  text_removal/msr 0.4  ...`, sums over all tasks first."""
    names = sorted(losses, key=lambda name: ("/" in name, name != "total", name))
    return "  ".join(f"{name} {losses[name]:.4f}" for name in names)


class RunLog:
    """Files of a training run: `config.yaml` and `log.txt`.

    Only the main process writes, and only from `begin` on.

    Args:
        output_dir: folder of the run.
        config: content of `config.yaml`.
        start_epoch: first epoch of this run; an old log loses its lines from there on.
    """

    def __init__(self, output_dir: Path, config: dict[str, Any], start_epoch: int) -> None:
        self._file = output_dir / "log.txt"
        self._config = config
        if is_main_process():
            self._earlier = self._before(start_epoch)

    def begin(self) -> None:
        """Replace the files of an earlier run, as soon as this one has something to show."""
        if not is_main_process():
            return
        with atomic_path(self._file.with_name("config.yaml")) as path:
            path.write_text(yaml.safe_dump(self._config, sort_keys=False), encoding="utf-8")
        with atomic_path(self._file) as path:
            path.write_text("".join(f"{line}\n" for line in self._earlier), encoding="utf-8")

    def _before(self, epoch: int) -> list[str]:
        """Lines of an earlier log; raises ValueError for another file."""
        if not self._file.exists():
            return []
        lines = whole_lines(read_text(self._file, errors="replace"))
        try:
            return [line for line in lines if json.loads(line)["epoch"] < epoch]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise ValueError(f"{self._file}: not a log of this program, move it away") from None

    def write(self, epoch: int, record: dict[str, Any]) -> None:
        """Append a JSON line."""
        if not is_main_process():
            return
        with self._file.open("a") as file:
            file.write(json.dumps({"epoch": epoch, **record}) + "\n")


def whole_lines(text: str) -> list[str]:
    """Lines of a JSON-lines file, without a last one that a full disk or a power cut has torn."""
    *lines, last = text.split("\n")
    try:
        json.loads(last)
    except (ValueError, RecursionError):
        is_ours = last.startswith("{") or not last.strip("\0")
        return lines if is_ours else [*lines, last]
    return [*lines, last]
