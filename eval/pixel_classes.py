"""Evaluation by pixel classes: one confusion matrix over the pixels of the whole data set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from eval.evaluator import DEFAULTS, EvaluationOptions, Evaluator, Results
from eval.metrics import ConfusionMatrix
from tasks import PixelClass, Task
from utils import dist
from utils.image import write_png

UNKNOWN = -1  # number of pixels whose colour is not that of a class


class PixelClassEvaluator(Evaluator):
    """Decodes every output at the size of its file into the classes of `task`.

    A subclass per task sets `task` and is registered. Class 0 is the background: the means are over
    the other classes. `visualize` writes the predicted classes in their colours as
    `output_dir/dataset_name/NAME.png`. Args: see `Evaluator`.
    """

    task: ClassVar[Task]

    def __init__(
        self, dataset_name: str, output_dir: str | Path, options: EvaluationOptions = DEFAULTS
    ) -> None:
        super().__init__(dataset_name, output_dir, options)
        chosen = options.threshold
        self.threshold = self.task.threshold if chosen is None else chosen
        self.matrix = ConfusionMatrix(len(self.task.classes))
        self.num_images = 0

    def update(self, outputs: Tensor, samples: Sequence[Mapping[str, Any]]) -> None:
        """Count a batch.

        outputs: (B, 3, S, S) in [0, 1], any device; samples: B evaluation samples with `name` and
        `label`, uint8 (H, W) or (H, W, 3) at the size of the file in the colours of the classes.
        Pixels of other colours are ignored.
        """
        assert self.task.decode
        for output, sample in zip(outputs, samples, strict=True):
            label = sample["label"].cpu().numpy()
            resized = resize_output(output, label.shape[:2])
            classes = self.task.decode(resized, self.threshold)
            target = class_numbers(label, self.task.classes)
            self.matrix.update(torch.from_numpy(classes), torch.from_numpy(target))
            self.num_images += 1
            if self.options.visualize:
                write_png(self.folder / f"{sample['name']}.png", self.picture(classes))

    def compute(self) -> Results:
        """`protocol`, `num_images` and `figures`."""
        return {
            "protocol": f"{self.task.name}_pixels",
            "num_images": sum(dist.all_gather_objects(self.num_images)),
            **self.figures(),
        }

    def figures(self) -> Results:
        """`mean_iou`, `mean_f_score`, and for each class figures such as `iou_tampered`.

        These are `precision`, `recall`, `f_score` and `iou`, fractions 0-1 over the data set and
        all processes. A figure without a denominator, as of a class that never occurs, is 0.
        """
        figures = self.matrix.compute()
        return {
            "mean_iou": fmean(figures["iou"][1:]),
            "mean_f_score": fmean(figures["f_score"][1:]),
            **{
                f"{figure}_{each.name}": values[number]
                for number, each in enumerate(self.task.classes)
                for figure, values in figures.items()
                if number
            },
        }

    def score(self, results: Results) -> float:
        """The mean IoU, 0-1."""
        return results["mean_iou"]

    def picture(self, classes: np.ndarray) -> np.ndarray:
        """(H, W) class numbers -> uint8 picture, (H, W, 3) or (H, W)."""
        return self.task.class_picture(classes)

    @classmethod
    def headline(cls) -> dict[str, str]:
        """IoU per class and their mean."""
        names = [each.name for each in cls.task.classes[1:]]
        return {**{f"IoU {name}": f"iou_{name}" for name in names}, "mean IoU": "mean_iou"}


def resize_output(output: Tensor, size: tuple[int, int]) -> np.ndarray:
    """(3, S, S) on any device -> (H, W, 3) float32, bilinear; size: (H, W)."""
    resized = F.interpolate(output[None].float(), size, mode="bilinear", align_corners=False)
    return resized[0].permute(1, 2, 0).cpu().numpy()


def class_numbers(label: np.ndarray, classes: Sequence[PixelClass]) -> np.ndarray:
    """uint8 label (H, W) or (H, W, 3) -> class by colour (H, W) int64; `UNKNOWN` for others."""
    colours = label if label.ndim == 3 else label[:, :, None]
    numbers = np.full(label.shape[:2], UNKNOWN)
    for number, each in enumerate(classes):
        numbers[(colours == each.colour).all(axis=2)] = number
    return numbers
