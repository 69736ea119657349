"""Evaluator of text segmentation: foreground IoU and F over the pixels of the data set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from eval.metrics import ConfusionMatrix
from utils import dist
from utils.image import write_png

PROTOCOL = "text_segmentation_pixels"
TEXT_VALUE, BACKGROUND_VALUE = 255, 0  # of the label; every other value is ignored
BACKGROUND, TEXT, IGNORED = 0, 1, -1  # classes


class TextSegmentationEvaluator:
    """Text is where the channel mean of the output at the size of the file is above a threshold.

    Args:
        data_set_name: folder of the pictures.
        output_dir: where that folder is made.
        visualize: write each mask (white text) as `output_dir/data_set_name/NAME.png`.
        threshold: on the scale of the output, 0-1; ValueError outside.
    """

    def __init__(
        self, data_set_name: str, output_dir: Path, visualize: bool = False, threshold: float = 0.4
    ) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold {threshold} of text segmentation is not within 0 and 1")
        self.folder = Path(output_dir) / data_set_name
        self.visualize = visualize
        self.threshold = threshold
        self.matrix = ConfusionMatrix(num_classes=2)
        self.num_images = 0

    def update(self, outputs: Tensor, samples: Sequence[dict]) -> None:
        """Count a batch.

        outputs: (B, 3, S, S) in [0, 1], any device; samples: B evaluation samples, of which `name`
        and `label` are read, uint8 (H, W) at the size of the file: 255 text, 0 background, anything
        else (128) ignored.
        """
        for output, sample in zip(outputs, samples, strict=True):
            label = sample["label"]
            prediction = predict_text(output, label.shape, self.threshold).cpu()
            self.matrix.update(prediction, _classes(label.cpu()))
            self.num_images += 1
            if self.visualize:
                mask = prediction.numpy().astype(np.uint8) * 255
                write_png(self.folder / f"{sample['name']}.png", mask)

    def compute(self) -> dict:
        """`fg_iou`, `precision`, `recall`, `f_score` of text and the `threshold`, fractions 0-1.

        Over the data set and all processes. A figure that has nothing to divide by, as without any
        text in labels and outputs, is 0.
        """
        return {
            "protocol": PROTOCOL,
            "num_images": sum(dist.all_gather_objects(self.num_images)),
            "threshold": self.threshold,
            **text_figures(self.matrix),
        }

    @staticmethod
    def score(results: dict) -> float:
        """The foreground IoU (0-1), higher is better, to choose a checkpoint by."""
        return results["fg_iou"]


def text_figures(matrix: ConfusionMatrix) -> dict[str, float]:
    """`fg_iou`, `precision`, `recall`, `f_score` of text, class `TEXT` of the matrix."""
    figures = {key: values[TEXT] for key, values in matrix.compute().items()}
    return {"fg_iou": figures.pop("iou"), **figures}


def predict_text(output: Tensor, size: Sequence[int], threshold: float) -> Tensor:
    """Text mask (H, W) bool of one output (3, S, S) in [0, 1] at `size` = (H, W)."""
    resized = F.interpolate(output[None].float(), tuple(size), mode="bilinear", align_corners=False)
    return resized[0].mean(dim=0) > threshold


def _classes(label: Tensor) -> Tensor:
    classes = torch.full(label.shape, IGNORED)
    classes[label == BACKGROUND_VALUE] = BACKGROUND
    classes[label == TEXT_VALUE] = TEXT
    return classes
