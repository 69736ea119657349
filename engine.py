"""One epoch of training and one pass of evaluation, whatever the tasks and data sets."""

import logging
import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from models import TASKS
from utils.batch import Batch
from utils.dist import (
    all_reduce_sum,
    autocast,
    is_main_process,
    peak_memory_mib,
    unwrap_model,
)
from utils.logger import Averages, LossWindow, Stopwatch, format_losses
from utils.optim import optimizer_step

logger = logging.getLogger(__name__)


# Steps in a row that a gradient scaler may skip: it starts at 2**16 and halves at each of them.
SCALER_PATIENCE = 40


class DivergenceError(ValueError):
    """A loss or a gradient is not finite; the message names the step and the terms."""


def to_device(images: Tensor, device: torch.device) -> Tensor:
    """uint8 (N, C, H, W) 0-255 on the CPU -> float32 in [0, 1] on `device`."""
    return images.to(device, non_blocking=True).float().div_(255)


def train_one_epoch(
    model: nn.Module,
    criterion: nn.Module,
    batches: Iterator[dict[str, Any]],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    *,
    device: torch.device,
    amp_dtype: torch.dtype | None,
    epoch: int,
    epochs: int,
    iterations: int,
    clip_max_norm: float,
    print_freq: int,
) -> dict[str, float]:
    """Train for `iterations` steps and return the mean of every loss.

    Args:
        model: the network, see `utils.dist.wrap_model`.
        criterion: called with the outputs and the batch, see `models.criterion.MultiTaskCriterion`.
        batches: endless, see `datasets.multitask.MultiTaskLoader`.
        scaler: disabled unless `amp_dtype` is float16.
        amp_dtype: type of mixed precision, None for none.
        epoch, epochs: for the log, counted from 0.
        print_freq: steps between log lines, which are the only places that wait for the device.

    Raises DivergenceError.
    """
    model.train()
    watchdog = DivergenceWatch(epoch, SCALER_PATIENCE if scaler.is_enabled() else 0)
    window, averages, watch = LossWindow(), Averages(), Stopwatch()
    for step in range(iterations):
        watch.start_step()
        batch = next(batches)
        watch.got_data()
        images, labels, masks = (to_device(batch[k], device) for k in ("images", "labels", "masks"))
        with autocast(device, amp_dtype):
            outputs = model(images, batch["tasks"])
            scored = Batch(images, labels, masks, list(batch["tasks"]), list(batch["tasks"]))
            total, terms = criterion(outputs, scored)
        norm = optimizer_step(total, optimizer, scaler, model.parameters(), clip_max_norm)
        window.add(step, {"total": total.detach(), "grad_norm": norm.detach(), **terms})
        if (step + 1) % print_freq == 0 or step + 1 == iterations:
            steps = window.read()
            watchdog.check(steps)
            recent = Averages()
            for _, losses in steps:
                averages.add(losses)
                recent.add(losses)
            remaining = (epochs - epoch) * iterations - step - 1
            _log_step(
                f"epoch {epoch} [{step + 1}/{iterations}]  {format_losses(recent.means())}  "
                f"lr {optimizer.param_groups[0]['lr']:.2e}  {watch.summary(remaining)}  "
                f"memory {peak_memory_mib(device):.0f} MiB",
                model,
                images[:1],
            )
    return averages.means()


class DivergenceWatch:
    """Looks for steps whose loss or gradient is not finite.

    Args:
        epoch: for the message.
        patience: such steps in a row that are no error. Gradients may overflow in float16: the
            scaler skips the step and lowers its factor, until it fits.
    """

    def __init__(self, epoch: int, patience: int) -> None:
        self._epoch, self._patience = epoch, patience
        self._in_a_row = 0

    def check(self, steps: list[tuple[int, dict[str, float]]]) -> None:
        """steps: (step, losses) in order, each once; raises DivergenceError."""
        for step, losses in steps:
            names = {"total": "loss", "grad_norm": "gradient"}
            bad = [what for name, what in names.items() if not math.isfinite(losses[name])]
            self._in_a_row = self._in_a_row + 1 if bad else 0
            if self._in_a_row > self._patience:
                where = f"epoch {self._epoch}, step {step}"
                raise DivergenceError(f"{bad[0]} is not finite at {where}: {format_losses(losses)}")


def _log_step(line: str, model: nn.Module, image: Tensor) -> None:
    if is_main_process():
        logger.info("%s  task_gap %.4f", line, task_gap(unwrap_model(model), image))


@torch.no_grad()
def task_gap(model: nn.Module, image: Tensor) -> float:
    """How far the outputs of the tasks on one image (1, 3, H, W) are apart: mean absolute
    difference over all pairs.

    Near zero the network ignores its prompts, and the tasks have collapsed into one picture.
    """
    training = model.training
    model.eval()
    rows = torch.arange(len(TASKS))
    outputs = model(image.expand(len(rows), -1, -1, -1), rows)[-1].float()
    model.train(training)
    pairs = torch.combinations(rows).tolist()
    return sum((outputs[a] - outputs[b]).abs().mean().item() for a, b in pairs) / len(pairs)


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Iterable[dict[str, Any]],
    evaluator: Any,
    *,
    device: torch.device,
    amp_dtype: torch.dtype | None,
    num_images: int,
) -> dict[str, Any]:
    """Run a data set through the model and its evaluator; returns the evaluator's results.

    Args:
        model: the network itself, not wrapped.
        batches: this process's share, see `datasets.evaluation_loader`.
        evaluator: see `eval.build_evaluator`.
        num_images: images of the whole data set; another number seen by all processes together is
            warned about.
    """
    training = model.training
    model.eval()
    seen = torch.zeros((), dtype=torch.int64, device=device)
    for batch in tqdm(batches, disable=None if is_main_process() else True, desc="evaluate"):
        samples = batch["samples"]
        with autocast(device, amp_dtype):
            outputs = model(to_device(batch["images"], device), [s["task"] for s in samples])[-1]
        outputs = outputs.float()
        check_outputs(outputs, samples)
        evaluator.update(outputs.clamp(0, 1), samples)
        seen += len(samples)
    model.train(training)
    total = all_reduce_sum(seen).item()
    if total != num_images and is_main_process():
        logger.warning("evaluated %d images of a data set of %d", total, num_images)
    return evaluator.compute()


def check_outputs(outputs: Tensor, samples: list[dict[str, Any]]) -> None:
    """Raise ValueError naming an image whose output (of outputs (B, 3, H, W)) is not finite."""
    finite = outputs.isfinite().flatten(1).all(1).tolist()
    for sample, fine in zip(samples, finite, strict=True):
        if not fine:
            raise ValueError(
                f"the output for {sample['name']} is not finite: the weights are damaged, or "
                "their training has diverged"
            )
