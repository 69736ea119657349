"""The training step in full view, and one pass of evaluation; any tasks, any data sets."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from utils.batch import Batch, to_unit
from utils.dist import all_reduce_sum, autocast, is_main_process, world_size
from utils.logger import StepLog

logger = logging.getLogger(__name__)


def train_one_epoch(
    model: nn.Module,
    criterion: nn.Module,
    batches: Iterator[Batch],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    log: StepLog,
    *,
    device: torch.device,
    amp_dtype: torch.dtype | None,
    clip_max_norm: float,
) -> dict[str, float]:
    """Train for the steps of `log` and return the mean of every loss.

    Args:
        model: the network, see `utils.dist.wrap_model`.
        criterion: outputs and batch -> weighted sum and unweighted terms, see `models.criterion`.
        batches: endless, see `datasets.MultiTaskLoader`.
        scaler: disabled unless `amp_dtype` is float16; skips steps whose gradients overflow.
        log: prints, and stops a diverged training; the only part that waits for the device.
        amp_dtype: type of mixed precision, None for none.
        clip_max_norm: maximum gradient norm, 0 disables clipping.

    Raises `utils.logger.DivergenceError`.
    """
    model.train()
    for step in log.steps():
        batch = next(batches).to(device)
        log.got_data()
        with autocast(device, amp_dtype):
            outputs = model(batch.images, batch.tasks)
            loss, terms = criterion(outputs, batch)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(model.parameters(), clip_max_norm or float("inf"))
        scaler.step(optimizer)
        scaler.update()
        log.add(step, {"total": loss.detach(), "grad_norm": norm.detach(), **terms})
    return log.means()


class Evaluator(Protocol):
    """The part of an evaluator that the engine uses, see `eval.Evaluator`."""

    def update(self, outputs: Tensor, samples: Sequence[dict]) -> None:
        """Take a batch of outputs (B, 3, S, S) in [0, 1] and its evaluation samples."""

    def compute(self) -> dict[str, Any]:
        """Results over all processes."""


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Iterable[dict[str, Any]],
    evaluator: Evaluator,
    *,
    device: torch.device,
    amp_dtype: torch.dtype | None,
    num_images: int,
) -> dict[str, Any]:
    """Run a data set through the model and its evaluator; returns the evaluator's results.

    Args:
        model: in evaluation mode, not wrapped for distributed training.
        batches: this process's share, see `datasets.evaluation_loader`.
        num_images: size of the whole data set; a warning follows if the processes together saw
            another number.
    """
    seen = torch.zeros((), dtype=torch.int64, device=device)
    share = -(-num_images // world_size())  # of the main process, the only one that shows it
    hidden = None if is_main_process() else True  # None: unless the output is a terminal
    with tqdm(total=share, desc="evaluate", unit="image", disable=hidden) as bar:
        for batch in batches:
            samples = batch["samples"]
            with autocast(device, amp_dtype):
                outputs = model(to_unit(batch["images"], device), [s["task"] for s in samples])[-1]
            outputs = outputs.float()
            check_outputs(outputs, samples)
            evaluator.update(outputs.clamp(0, 1), samples)
            seen += len(samples)
            bar.update(len(samples))
    total = int(all_reduce_sum(seen).item())
    if total != num_images and is_main_process():
        logger.warning("evaluated %d images of a data set of %d", total, num_images)
    return evaluator.compute()


def check_outputs(outputs: Tensor, samples: list[dict[str, Any]]) -> None:
    """Raise ValueError that names an image whose output, of (B, 3, H, W), is not finite."""
    finite = outputs.isfinite().flatten(1).all(1).tolist()
    for sample, is_finite in zip(samples, finite, strict=True):
        if not is_finite:
            raise ValueError(
                f"the output for {sample['name']} is not finite: the weights are damaged, or "
                "their training has diverged"
            )


@torch.no_grad()
def weights_are_sound(model: nn.Module, image: Tensor, task: str) -> bool:
    """Whether all parameters, and the output for `task` on one image (1, 3, H, W), are finite.

    The model is in evaluation mode and not wrapped for distributed training.
    """
    finite = [parameter.isfinite().all() for parameter in model.parameters()]
    return bool(torch.stack([*finite, model(image, [task])[-1].isfinite().all()]).all())


@torch.no_grad()
def task_gap(model: nn.Module, image: Tensor, tasks: Sequence[str]) -> float:
    """Mean absolute difference between the outputs of all pairs of tasks on one image.

    Near zero the network ignores its prompts: the tasks have collapsed into one picture.

    Args:
        model: in evaluation mode, not wrapped for distributed training.
        image: (1, 3, H, W) RGB in [0, 1].
        tasks: at least two names.
    """
    outputs = model(image.expand(len(tasks), -1, -1, -1), list(tasks))[-1].float()
    gaps = [(a - b).abs().mean() for a, b in combinations(outputs, 2)]
    return torch.stack(gaps).mean().item()
