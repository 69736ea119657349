"""The losses of the three tasks, and their one weighted sum that is trained and logged."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.prompt import TASKS
from models.vgg import VGG16Features

# Paper, section 3.4: weights of the outputs at 1/4, 1/2 and full resolution.
SCALE_WEIGHTS = (5.0, 6.0, 10.0)
BACKGROUND_WEIGHTS = (0.8, 1.0, 2.0)
IGNORED = 128 / 255  # label value of pixels that do not count

# How each term enters the sum; a term that is not here is measured only.
LOSS_WEIGHTS = {
    "text_removal/msr": 1.0,
    "text_removal/perceptual": 0.01,
    "text_removal/style": 120.0,
    "tampered_text_detection/smooth_l1": 1.0,
    "text_segmentation/smooth_l1": 1.0,
}


def _at_least_float32(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _nearest(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="nearest")


def _masked_mean(values: Tensor, selected: Tensor) -> Tensor:
    """Mean of the selected values; zero, with its graph, where none is."""
    return (values * selected).sum() / selected.sum().clamp(min=1)


def multi_scale_region_loss(outputs: Sequence[Tensor], label: Tensor, mask: Tensor) -> Tensor:
    """Multi-scale L1 with text regions weighted above the background (paper, eq. 3).

    Args:
        outputs: (B, 3, h, w) at 1/4, 1/2 and full resolution.
        label: (B, 3, H, W), the picture without text.
        mask: (B, 1, H, W), 1 = background, 0 = text.
    """
    total = outputs[0].new_zeros(())
    for output, text, background in zip(outputs, SCALE_WEIGHTS, BACKGROUND_WEIGHTS, strict=True):
        error = (output - _nearest(label, output)).abs()
        keep = _nearest(mask, output)
        total = total + text * ((1 - keep) * error).mean() + background * (keep * error).mean()
    return total


def gram_matrix(features: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, C), divided by C * H * W."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / features[0].numel()


class TextRemovalLoss(nn.Module):
    """Region, perceptual and style loss of text removal (paper, section 3.4).

    Args:
        vgg16: the frozen feature extractor; None leaves the perceptual and the style loss out.
    """

    def __init__(self, vgg16: VGG16Features | None) -> None:
        super().__init__()
        self.vgg16 = vgg16

    def forward(
        self, outputs: Sequence[Tensor], images: Tensor, label: Tensor, mask: Tensor
    ) -> dict[str, Tensor]:
        """outputs: three (B, 3, h, w); images, label: (B, 3, H, W); mask: (B, 1, H, W), 1 =
        background -> scalars.
        """
        terms = {"msr": multi_scale_region_loss(outputs, label, mask)}
        if self.vgg16 is None:
            return terms
        composite = mask * images + (1 - mask) * outputs[-1]
        perceptual, style = self._feature_losses(
            self.vgg16, torch.cat((outputs[-1], composite)), label
        )
        return terms | {"perceptual": perceptual, "style": style}

    def _feature_losses(
        self, vgg16: VGG16Features, pictures: Tensor, label: Tensor
    ) -> tuple[Tensor, Tensor]:
        """pictures: (2B, 3, H, W), outputs then composites -> perceptual and style loss, summed
        over both.
        """
        with torch.no_grad():
            targets = vgg16(label)
        perceptual = style = pictures.new_zeros(())
        for feature, target in zip(vgg16(pictures), targets, strict=True):
            difference = feature.unflatten(0, (2, -1)) - target  # (2, B, C, h, w)
            perceptual = perceptual + 2 * _at_least_float32(difference.abs()).mean()
            style = style + self._style_loss(feature, target)
        return perceptual, style

    @staticmethod
    def _style_loss(feature: Tensor, target: Tensor) -> Tensor:
        # Sums over whole feature maps: float16 overflows and bfloat16 is too coarse, so never in
        # either.
        with torch.autocast(feature.device.type, enabled=False):
            gram = gram_matrix(_at_least_float32(feature)).unflatten(0, (2, -1))
            return 2 * (gram - gram_matrix(_at_least_float32(target))).abs().mean()


class SegmentationLoss(nn.Module):
    """Multi-scale smooth L1 to a target picture, without ignored pixels: segmentation and
    detection.

    Args:
        report_classes: report also the losses over the pixels of either class, `positive` and
            `negative`, which are not trained.
    """

    def __init__(self, report_classes: bool) -> None:
        super().__init__()
        self.report_classes = report_classes

    def forward(
        self, outputs: Sequence[Tensor], images: Tensor, label: Tensor, mask: Tensor
    ) -> dict[str, Tensor]:
        """outputs: three (B, 3, h, w); label: (B, 3, H, W); images and mask are not looked at ->
        scalars.
        """
        terms = {"smooth_l1": outputs[0].new_zeros(())}
        if self.report_classes:
            terms |= {name: outputs[0].new_zeros(()) for name in ("positive", "negative")}
        for output, weight in zip(outputs, SCALE_WEIGHTS, strict=True):
            target = _nearest(label, output)
            error = F.smooth_l1_loss(output, target, reduction="none")
            selections = {
                "smooth_l1": target != IGNORED,
                "positive": target == 1,
                "negative": target == 0,
            }
            for name in terms:
                value = _masked_mean(
                    error if name == "smooth_l1" else error.detach(), selections[name]
                )
                terms[name] = terms[name] + weight * value
        return terms


class MultiTaskCriterion(nn.Module):
    """Scores each sample of a mixed batch with the loss of its task.

    Args:
        losses: task name -> loss module; the tasks of `models.TASKS`.
        weights: `task/term` -> factor in the sum.
    """

    def __init__(self, losses: dict[str, nn.Module], weights: dict[str, float]) -> None:
        super().__init__()
        if set(losses) != set(TASKS):
            raise ValueError(f"losses for the tasks {sorted(losses)}, expected {sorted(TASKS)}")
        self.losses = nn.ModuleDict(losses)
        self.weights = weights

    def forward(
        self,
        outputs: Sequence[Tensor],
        images: Tensor,
        labels: Tensor,
        masks: Tensor,
        tasks: Sequence[str],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Score a batch.

        Args:
            outputs: three (N, 3, h, w), coarse to fine.
            images, labels: (N, 3, H, W) in [0, 1].
            masks: (N, 1, H, W), 1 = background, 0 = text; only text removal looks at it.
            tasks: N task names.

        Returns the weighted sum and the unweighted terms, `task/term` -> scalar without graph. A
        task that is not in the batch adds a zero that keeps the graph, so that every process of a
        distributed run reduces the same.
        """
        outputs = [_at_least_float32(output) for output in outputs]
        total = sum(output[:0].sum() for output in outputs)
        terms = {}
        for task, loss in self.losses.items():
            rows = [index for index, name in enumerate(tasks) if name == task]
            if not rows:
                continue
            rows = _as_slice(rows)
            found = loss([o[rows] for o in outputs], images[rows], labels[rows], masks[rows])
            for name, value in found.items():
                weight = self.weights.get(f"{task}/{name}")
                if weight is not None:
                    total = total + weight * value
                terms[f"{task}/{name}"] = value.detach()
        return total, terms


def _as_slice(rows: list[int]) -> slice | list[int]:
    """A run of neighbours as a slice, which copies nothing; the loader keeps the samples of a task
    together.
    """
    is_run = rows[-1] - rows[0] + 1 == len(rows)
    return slice(rows[0], rows[-1] + 1) if is_run else rows


def build_criterion(
    vgg16: VGG16Features | None, task_weights: Mapping[str, float] = MappingProxyType({})
) -> MultiTaskCriterion:
    """The paper's criterion for the three tasks; without `vgg16`, less its two feature losses.

    `task_weights`: task -> factor of all its terms, 1 (the paper's) where it is not named.
    """
    losses = {
        "text_removal": TextRemovalLoss(vgg16),
        "tampered_text_detection": SegmentationLoss(report_classes=False),
        "text_segmentation": SegmentationLoss(report_classes=True),
    }
    weights = {
        name: weight * task_weights.get(name.split("/")[0], 1.0)
        for name, weight in LOSS_WEIGHTS.items()
    }
    return MultiTaskCriterion(losses, weights)
