"""Evaluator of text segmentation: foreground IoU and F over the pixels of the data set."""

import numpy as np

from eval.evaluator import EVALUATORS, Results
from eval.metrics import ConfusionMatrix
from eval.pixel_classes import PixelClassEvaluator, table_rows
from tasks import TEXT_SEGMENTATION

TEXT = 1  # class


@EVALUATORS.register(TEXT_SEGMENTATION.name)
class TextSegmentationEvaluator(PixelClassEvaluator):
    """Text is where the channel mean exceeds the threshold."""

    task = TEXT_SEGMENTATION

    def figures(self) -> Results:
        """`threshold` and the `text_figures`."""
        chosen = self.options.threshold
        threshold = self.task.threshold if chosen is None else chosen
        return {"threshold": threshold, **text_figures(self.matrix)}

    def score(self, results: Results) -> float:
        return results["fg_iou"]

    def picture(self, classes: np.ndarray) -> np.ndarray:
        return super().picture(classes)[:, :, 0]  # (H, W), grey

    @classmethod
    def headline(cls) -> dict[str, str]:
        return {"fgIoU": "fg_iou", "F": "f_score"}

    @classmethod
    def table(cls, results: Results) -> list[str]:
        return table_rows({"text": {**results, "iou": results.get("fg_iou")}})


def text_figures(matrix: ConfusionMatrix) -> dict[str, float]:
    """`fg_iou`, `precision`, `recall`, `f_score` of text; 0 without a denominator."""
    figures = {key: values[TEXT] for key, values in matrix.compute().items()}
    return {"fg_iou": figures.pop("iou"), **figures}
