"""Evaluation: one evaluator a task, all with the same three methods."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from torch import Tensor

from eval.tampered_text_detection import TamperedTextDetectionEvaluator
from eval.text_removal import TextRemovalEvaluator
from eval.text_segmentation import TextSegmentationEvaluator
from tasks import OFFICIAL_TASKS as TASKS

__all__ = ["Evaluator", "build_evaluator"]


class Evaluator(Protocol):
    """What the engine asks of a task."""

    def update(self, outputs: Tensor, samples: Sequence[dict]) -> None:
        """Take in a batch: outputs (B, 3, S, S) RGB in [0, 1] and its B evaluation samples."""

    def compute(self) -> dict:
        """Results over all processes, the same on each: `protocol`, `num_images` and the figures.

        Every process must call it. `num_images` is to be compared with the size of the data set.
        """

    def score(self, results: dict) -> float | None:
        """One number to choose a checkpoint by, higher is better; None if nothing was scored."""


def build_evaluator(
    task: str,
    data_set_name: str,
    output_dir: str | Path,
    visualize: bool = False,
    textseg_threshold: float = 0.4,
) -> Evaluator:
    """Evaluator of a task; pictures go to `output_dir/data_set_name`.

    `visualize` writes pictures of segmentation and detection; the outputs of text removal are
    always written. `textseg_threshold` (0-1) is used by segmentation only. Raises ValueError for an
    unknown task.
    """
    folder = Path(output_dir)
    if task == "text_removal":
        return TextRemovalEvaluator(data_set_name, folder)
    if task == "tampered_text_detection":
        return TamperedTextDetectionEvaluator(data_set_name, folder, visualize)
    if task == "text_segmentation":
        return TextSegmentationEvaluator(data_set_name, folder, visualize, textseg_threshold)
    raise ValueError(f"unknown task {task!r}, expected one of {', '.join(TASKS)}")
