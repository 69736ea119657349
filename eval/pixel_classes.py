"""Evaluation by pixel classes: one confusion matrix over the pixels of the whole data set."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from eval.evaluator import Evaluator, Results, Samples
from eval.metrics import ConfusionMatrix
from tasks import PixelClass, Task
from utils import dist
from utils.image import write_png

FIGURES = ("iou", "f_score", "precision", "recall")  # of each class, see `ConfusionMatrix`
UNKNOWN = -1  # number of pixels whose colour is not that of a class


class PixelClassEvaluator(Evaluator):
    """Decodes every output at the size of its file into the classes of `task`.

    A subclass per task sets `task` and is registered. Class 0 is the background: the means are over
    the other classes. `visualize` writes the predicted classes as `NAME.png`.
    """

    task: ClassVar[Task]

    def setup(self) -> None:
        self.matrix = ConfusionMatrix(len(self.task.classes))
        self.num_images = 0

    def update(self, outputs: Tensor, samples: Samples) -> None:
        """Count a batch.

        The samples have `name` and `label`, uint8 (H, W) or (H, W, 3) at the size of the file in
        the colours of the classes; pixels of other colours are ignored.
        """
        for output, sample in zip(outputs, samples, strict=True):
            label = sample["label"].cpu().numpy()
            resized = resize_output(output, label.shape[:2])
            classes = self.task.classes_of(resized, self.options.threshold)
            target = class_numbers(label, self.task.classes)
            self.matrix.update(torch.from_numpy(classes), torch.from_numpy(target))
            self.num_images += 1
            if self.options.visualize:
                write_png(self.folder / f"{sample['name']}.png", self.picture(classes))

    def compute(self) -> Results:
        return {
            "protocol": f"{self.task.name}_pixels",
            "num_images": sum(dist.all_gather_objects(self.num_images)),
            **self.figures(),
        }

    def figures(self) -> Results:
        """Means, and the figures of `ConfusionMatrix` per class, such as `iou_tampered`."""
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
        return results["mean_iou"]

    def picture(self, classes: np.ndarray) -> np.ndarray:
        """(H, W) class numbers -> uint8 picture, (H, W, 3) or (H, W)."""
        return self.task.class_picture(classes)

    @classmethod
    def headline(cls) -> dict[str, str]:
        names = [each.name for each in cls.task.classes[1:]]
        return {**{f"IoU {name}": f"iou_{name}" for name in names}, "mean IoU": "mean_iou"}

    @classmethod
    def table(cls, results: Results) -> list[str]:
        rows = {
            each.name: {figure: results.get(f"{figure}_{each.name}") for figure in FIGURES}
            for each in cls.task.classes[1:]
        }
        mean = {"iou": results.get("mean_iou"), "f_score": results.get("mean_f_score")}
        return table_rows(rows | {"mean": mean})


def table_rows(rows: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    """Class -> the figures of `FIGURES` that there are, as rows under a header."""
    header = f"{'':<14}" + "".join(f"{figure:>12}" for figure in FIGURES)
    return [header, *(_table_row(name, figures) for name, figures in rows.items())]


def _table_row(name: str, figures: Mapping[str, float | None]) -> str:
    found = [figures.get(key) for key in FIGURES]
    cells = ["-" if figure is None else f"{figure:.4f}" for figure in found]
    return f"{name:<14}" + "".join(f"{cell:>12}" for cell in cells)


def resize_output(output: Tensor, size: tuple[int, int]) -> np.ndarray:
    """(3, S, S) on any device -> (H, W, 3) float32, bilinear; size: (H, W)."""
    resized = F.interpolate(output[None].float(), size, mode="bilinear", align_corners=False)
    return resized[0].permute(1, 2, 0).cpu().numpy()


def class_numbers(label: np.ndarray, classes: Sequence[PixelClass]) -> np.ndarray:
    """uint8 label (H, W) or (H, W, 3) -> class by colour (H, W) int64; `UNKNOWN` for others."""
    red, green, blue = np.moveaxis(label, 2, 0) if label.ndim == 3 else (label, label, label)
    numbers = np.full(label.shape[:2], UNKNOWN)
    for number, each in enumerate(classes):
        r, g, b = each.colour
        numbers[(red == r) & (green == g) & (blue == b)] = number
    return numbers
