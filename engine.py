"""One epoch of training and one pass of evaluation, whatever the tasks and data sets."""

import logging
import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from models import TASKS
from utils.dist import all_reduce_sum, autocast, is_main_process, peak_memory_mib
from utils.logger import Averages, LossWindow, Stopwatch, format_losses
from utils.optim import optimizer_step

logger = logging.getLogger(__name__)


class NonFiniteLossError(ValueError):
    """Training diverged; the message names the step and the terms."""


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
        model: the network, wrapped for distributed training or not.
        criterion: called with the outputs and the batch, see `models.criterion.MultiTaskCriterion`.
        batches: endless, see `datasets.multitask.MultiTaskLoader`.
        scaler: disabled unless `amp_dtype` is float16.
        amp_dtype: type of mixed precision, None for none.
        epoch, epochs: for the log, counted from 0.
        print_freq: steps between log lines, which are the only places that wait for the device.

    Raises NonFiniteLossError.
    """
    model.train()
    window, averages, watch = LossWindow(), Averages(), Stopwatch()
    for step in range(iterations):
        watch.start_step()
        batch = next(batches)
        watch.got_data()
        images, labels, masks = (to_device(batch[k], device) for k in ("images", "labels", "masks"))
        with autocast(device, amp_dtype):
            outputs = model(images, batch["tasks"])
            total, terms = criterion(outputs, images, labels, masks, batch["tasks"])
        norm = optimizer_step(total, optimizer, scaler, model.parameters(), clip_max_norm)
        window.add(step, {"total": total.detach(), "grad_norm": norm.detach(), **terms})
        if (step + 1) % print_freq == 0 or step + 1 == iterations:
            steps = window.read()
            check_finite(steps, epoch, scaler.is_enabled())
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


def check_finite(steps: list[tuple[int, dict[str, float]]], epoch: int, scaled: bool) -> None:
    """Raise NonFiniteLossError if a loss or a gradient of these steps is not finite.

    Gradients may overflow in float16: the scaler skips such a step and lowers its factor. So with
    `scaled` only a run of steps without any finite loss is an error.
    """
    watched = {"total": "loss"} if scaled else {"total": "loss", "grad_norm": "gradient"}
    bad = [
        (step, losses, what)
        for step, losses in steps
        for name, what in watched.items()
        if not math.isfinite(losses[name])
    ]
    if not bad or (scaled and len(bad) < len(steps)):
        return
    step, losses, what = bad[0]
    terms = format_losses(losses)
    raise NonFiniteLossError(f"{what} is not finite at epoch {epoch}, step {step}: {terms}")


def _log_step(line: str, model: nn.Module, image: Tensor) -> None:
    if is_main_process():
        network = model.module if hasattr(model, "module") else model
        logger.info("%s  task_gap %.4f", line, task_gap(network, image))


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
        evaluator.update(outputs.float().clamp(0, 1), samples)
        seen += len(samples)
    model.train(training)
    total = all_reduce_sum(seen).item()
    if total != num_images and is_main_process():
        logger.warning("evaluated %d images of a data set of %d", total, num_images)
    return evaluator.compute()
