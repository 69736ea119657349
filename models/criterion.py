"""The losses of the tasks, and the one weighted sum that is trained and logged."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.image_losses import IMAGE_LOSSES
from models.vgg import VGG16Features
from tasks import TAMPERED_TEXT_DETECTION, TEXT_REMOVAL, TEXT_SEGMENTATION
from utils.batch import Batch
from utils.registry import Registry

# Paper, section 3.4: weights of the outputs at 1/4, 1/2 and full resolution.
SCALE_WEIGHTS = (5.0, 6.0, 10.0)
BACKGROUND_WEIGHTS = (0.8, 1.0, 2.0)
IGNORED = 128 / 255  # label value of pixels that do not count


class TaskLoss(nn.Module):
    """Loss of one task: subclasses register in `LOSSES` and implement `forward`.

    `weights` holds the factor of each term in the trained sum; other terms are only reported.

    Args:
        vgg16: the frozen feature extractor, for losses that need it; None: without feature losses.
    """

    weights: Mapping[str, float] = MappingProxyType({})
    needs_vgg16: ClassVar[bool] = False

    def __init__(self, vgg16: VGG16Features | None = None) -> None:
        super().__init__()
        self.vgg16 = vgg16

    def forward(self, outputs: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
        """outputs: (N, 3, h, w) at 1/4, 1/2 and full resolution -> unweighted scalar terms."""
        raise NotImplementedError


LOSSES: Registry[type[TaskLoss]] = Registry("task loss")


@LOSSES.register(TEXT_REMOVAL.name)
class TextRemovalLoss(TaskLoss):
    """Multi-scale region loss, perceptual loss and style loss (paper, section 3.4).

    Args:
        vgg16: see `TaskLoss`.
        image_losses: factors of further losses of the output at full resolution, by their names in
            `IMAGE_LOSSES`; the paper has none.
    """

    weights: Mapping[str, float] = MappingProxyType(
        {"msr": 1.0, "perceptual": 0.01, "style": 120.0}
    )
    needs_vgg16 = True

    def __init__(
        self,
        vgg16: VGG16Features | None = None,
        image_losses: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        super().__init__(vgg16)
        self.image_losses = {name: IMAGE_LOSSES[name] for name in image_losses}
        self.weights = {**type(self).weights, **image_losses}

    def forward(self, outputs: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
        """outputs: three (N, 3, h, w) -> `msr`, image losses; with VGG16 `perceptual`, `style`."""
        terms = {"msr": multi_scale_region_loss(outputs, batch.labels, batch.masks)}
        for name, loss in self.image_losses.items():
            terms[name] = loss(outputs[-1], at_least_float32(batch.labels))
        if self.vgg16 is None:
            return terms
        composites = batch.masks * batch.images + (1 - batch.masks) * outputs[-1]
        targets = self.vgg16(batch.labels)
        terms["perceptual"] = terms["style"] = outputs[0].new_zeros(())
        for images in (outputs[-1], composites):
            for feature, target in zip(self.vgg16(images), targets, strict=True):
                difference = at_least_float32((feature - target).abs())
                terms["perceptual"] = terms["perceptual"] + difference.mean()
                terms["style"] = terms["style"] + style_loss(feature, target)
        return terms


class MaskedSmoothL1Loss(TaskLoss):
    """Multi-scale smooth L1 to the label picture, without its ignored pixels."""

    weights = MappingProxyType({"smooth_l1": 1.0})

    def forward(self, outputs: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
        """outputs: three (N, 3, h, w) -> `smooth_l1`."""
        loss = multi_scale_smooth_l1(outputs, batch.labels, lambda target: target != IGNORED)
        return {"smooth_l1": loss}


LOSSES.register(TAMPERED_TEXT_DETECTION.name)(MaskedSmoothL1Loss)


@LOSSES.register(TEXT_SEGMENTATION.name)
class TextSegmentationLoss(MaskedSmoothL1Loss):
    """Also reports, without training them, the losses over text and over background pixels."""

    def forward(self, outputs: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
        """outputs: three (N, 3, h, w) -> `smooth_l1`, `positive`, `negative`."""
        terms, label = super().forward(outputs, batch), batch.labels
        with torch.no_grad():
            terms["positive"] = multi_scale_smooth_l1(outputs, label, lambda target: target == 1)
            terms["negative"] = multi_scale_smooth_l1(outputs, label, lambda target: target == 0)
        return terms


def multi_scale_region_loss(outputs: Sequence[Tensor], label: Tensor, mask: Tensor) -> Tensor:
    """L1 at three scales with text regions weighted above the background (paper, equation 3).

    outputs: (N, 3, h, w); label: (N, 3, H, W); mask: (N, 1, H, W), 1 = background, 0 = text.
    """
    total = outputs[0].new_zeros(())
    for output, text, background in zip(outputs, SCALE_WEIGHTS, BACKGROUND_WEIGHTS, strict=True):
        error = (output - resize_nearest(label, output)).abs()
        keep = resize_nearest(mask, output)
        total = total + text * ((1 - keep) * error).mean() + background * (keep * error).mean()
    return total


def multi_scale_smooth_l1(
    outputs: Sequence[Tensor], label: Tensor, selects: Callable[[Tensor], Tensor]
) -> Tensor:
    """Smooth L1 over the values of the label that `selects` marks, at three scales.

    A differentiable zero if nothing is selected. outputs: (N, 3, h, w); label: (N, 3, H, W).
    """
    total = outputs[0].new_zeros(())
    for output, weight in zip(outputs, SCALE_WEIGHTS, strict=True):
        target = resize_nearest(label, output)
        selected = selects(target)
        error = F.smooth_l1_loss(output, target, reduction="none")
        total = total + weight * (error * selected).sum() / selected.sum().clamp(min=1)
    return total


def style_loss(feature: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the Gram matrices of two feature maps (N, C, H, W)."""
    # Sums over whole maps: float16 overflows and bfloat16 is too coarse.
    with torch.autocast(feature.device.type, enabled=False):
        return (gram_matrix(feature) - gram_matrix(target)).abs().mean()


def gram_matrix(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, C), divided by C * H * W."""
    flat = at_least_float32(features).flatten(2)
    return flat @ flat.transpose(1, 2) / features[0].numel()


def resize_nearest(x: Tensor, like: Tensor) -> Tensor:
    """x: (N, C, H, W) -> (N, C, h, w), the resolution of `like`."""
    return F.interpolate(x, size=like.shape[-2:], mode="nearest")


def at_least_float32(x: Tensor) -> Tensor:
    """`x` in float32, or in float64 if it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class MultiTaskCriterion(nn.Module):
    """Scores each sample of a mixed batch with the loss of its task.

    Args:
        losses: loss by task.
        task_weights: factor of all terms of a task, 1 for tasks without one.
    """

    def __init__(self, losses: Mapping[str, TaskLoss], task_weights: Mapping[str, float]) -> None:
        super().__init__()
        self.losses = nn.ModuleDict(losses)
        self.weights = {
            f"{task}/{term}": task_weights.get(task, 1.0) * weight
            for task, loss in losses.items()
            for term, weight in loss.weights.items()
        }

    def forward(self, outputs: Sequence[Tensor], batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """outputs: three (N, 3, h, w), coarse to fine -> weighted sum, unweighted `task/term`.

        The terms carry no graph. A task without samples adds a zero that keeps the graph, so that
        all processes of a distributed run reduce the same gradients.
        """
        outputs = [at_least_float32(output) for output in outputs]
        total = torch.stack([output[:0].sum() for output in outputs]).sum()
        terms = {}
        for task, loss in self.losses.items():
            rows = rows_of(task, batch.tasks)
            if rows is None:
                continue
            for term, value in loss([output[rows] for output in outputs], batch[rows]).items():
                name = f"{task}/{term}"
                if name in self.weights:
                    total = total + self.weights[name] * value
                terms[name] = value.detach()
        return total, terms


def rows_of(task: str, tasks: Sequence[str]) -> slice | list[int] | None:
    """Places of a task in a batch, None if there are none.

    A run of neighbours is a slice, which copies nothing; the loader keeps tasks together.
    """
    rows = [row for row, name in enumerate(tasks) if name == task]
    if not rows:
        return None
    is_run = rows[-1] - rows[0] + 1 == len(rows)
    return slice(rows[0], rows[-1] + 1) if is_run else rows


def needs_vgg16(tasks: Sequence[str]) -> bool:
    """Whether the loss of any of the tasks uses VGG16 features; ValueError for unknown tasks."""
    return any(LOSSES[task].needs_vgg16 for task in tasks)


def build_criterion(
    tasks: Sequence[str],
    vgg16: VGG16Features | None,
    task_weights: Mapping[str, float] = MappingProxyType({}),
    image_losses: Mapping[str, float] = MappingProxyType({}),
) -> MultiTaskCriterion:
    """The criterion for `tasks`; without `vgg16`, less the feature losses.

    Args:
        tasks: their names.
        vgg16: for the losses of features, or None.
        task_weights: factor of all terms of a task, 1 (the paper's) for tasks without one.
        image_losses: factors of further losses of text removal, see `TextRemovalLoss`.

    Raises ValueError for tasks without a loss, for a weight of another task, and for image losses
    that are unknown or have no task.
    """
    if image_losses and TEXT_REMOVAL.name not in tasks:
        raise ValueError(f"image_losses are losses of {TEXT_REMOVAL.name}, which is not trained")
    for task in task_weights:
        if task not in tasks:
            choices = ", ".join(tasks)
            raise ValueError(f"task_weights: unknown task {task!r}, expected one of {choices}")
    losses = {
        task: LOSSES[task](vgg16) if LOSSES[task].needs_vgg16 else LOSSES[task]() for task in tasks
    }
    if image_losses:
        losses[TEXT_REMOVAL.name] = TextRemovalLoss(vgg16, image_losses)
    return MultiTaskCriterion(losses, task_weights)
