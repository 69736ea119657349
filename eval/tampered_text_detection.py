"""Evaluator of tampered text detection: IoU and F of real and of tampered text, by pixels."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from eval.metrics import ConfusionMatrix
from utils import dist
from utils.image import write_png

PROTOCOL = "tampered_text_detection_pixels"
NUM_CLASSES = 3  # background, real, tampered: the channels red, green, blue
TEXT_CLASSES = {"real": 1, "tampered": 2}


class TamperedTextDetectionEvaluator:
    """The class of a pixel is the strongest channel of the output resized to the size of the file.

    Args:
        data_set_name: folder of the pictures.
        output_dir: where that folder is made.
        visualize: write each class map (red background, green real, blue tampered) as
            `output_dir/data_set_name/NAME.png`.
    """

    def __init__(self, data_set_name: str, output_dir: Path, visualize: bool = False) -> None:
        self.folder = Path(output_dir) / data_set_name
        self.visualize = visualize
        self.matrix = ConfusionMatrix(NUM_CLASSES)
        self.num_images = 0

    def update(self, outputs: Tensor, samples: Sequence[dict]) -> None:
        """Count a batch.

        outputs: (B, 3, S, S) in [0, 1], any device; samples: B evaluation samples, of which `name`
        and `label` are read, uint8 (H, W, 3) at the size of the file with the colours of
        `visualize`.
        """
        for output, sample in zip(outputs, samples, strict=True):
            target = sample["label"].cpu().argmax(dim=-1)  # (H, W)
            prediction = predict_classes(output, target.shape).cpu()
            self.matrix.update(prediction, target)
            self.num_images += 1
            if self.visualize:
                colours = 255 * torch.eye(NUM_CLASSES, dtype=torch.uint8)
                write_png(self.folder / f"{sample['name']}.png", colours[prediction].numpy())

    def compute(self) -> dict:
        """Means `mean_iou`, `mean_f_score`, and for each class figures such as `iou_real`.

        Those are `precision`, `recall`, `f_score`, `iou`, each with `_real` and `_tampered`.

        Over the data set and all processes, fractions 0-1; the means are over the two text classes.
        A figure that has nothing to divide by, as of a class that never occurs, is 0.
        """
        figures = self.matrix.compute()
        results = {
            f"{figure}_{name}": values[index]
            for name, index in TEXT_CLASSES.items()
            for figure, values in figures.items()
        }
        return {
            "protocol": PROTOCOL,
            "num_images": sum(dist.all_gather_objects(self.num_images)),
            "mean_iou": (results["iou_real"] + results["iou_tampered"]) / 2,
            "mean_f_score": (results["f_score_real"] + results["f_score_tampered"]) / 2,
            **results,
        }

    @staticmethod
    def score(results: dict) -> float:
        """The mean IoU (0-1), higher is better, to choose a checkpoint by."""
        return results["mean_iou"]


def predict_classes(output: Tensor, size: Sequence[int]) -> Tensor:
    """Class map (H, W) int64 of one output (3, S, S): 0 background, 1 real, 2 tampered."""
    resized = F.interpolate(output[None].float(), tuple(size), mode="bilinear", align_corners=False)
    return resized[0].argmax(dim=0)
