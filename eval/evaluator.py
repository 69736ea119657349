"""The interface of the evaluators, and their registry."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from utils.registry import Registry

Results = dict[str, Any]  # ready for JSON
Samples = Sequence[dict[str, Any]]  # evaluation samples, see `datasets.TextDataset`


@dataclass(frozen=True)
class EvaluationOptions:
    """Choices of an evaluation; raises ValueError for a threshold outside of 0 to 1.

    Args:
        visualize: write pictures of the predicted classes; text removal always writes its outputs.
        threshold: of tasks decoded by a threshold; None for the default of the task.
    """

    visualize: bool = False
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold}, expected 0 to 1")


DEFAULTS = EvaluationOptions()


class Evaluator(ABC):
    """Scores the outputs for one data set; pictures go to `output_dir/dataset_name`."""

    def __init__(
        self, dataset_name: str, output_dir: str | Path, options: EvaluationOptions = DEFAULTS
    ) -> None:
        self.folder = Path(output_dir) / dataset_name
        self.options = options
        self.setup()

    @abstractmethod
    def setup(self) -> None:
        """Begin without samples; called once."""

    @abstractmethod
    def update(self, outputs: Tensor, samples: Samples) -> None:
        """Add a batch: outputs (B, 3, S, S) RGB in [0, 1] on any device, and its B samples."""

    @abstractmethod
    def compute(self) -> Results:
        """Results over all processes, the same on each: `protocol`, `num_images` and the figures.

        Every process must call it. Compare `num_images` with the size of the data set.
        """

    @abstractmethod
    def score(self, results: Results) -> float | None:
        """The figure that selects checkpoints, higher is better; None without targets."""

    @classmethod
    @abstractmethod
    def headline(cls) -> dict[str, str]:
        """Figures for a summary: title -> keys in the results, as `strict/psnr`."""

    @classmethod
    def table(cls, results: Results) -> list[str]:
        """Rows with all figures, for people; by default none."""
        return []


EVALUATORS: Registry[type[Evaluator]] = Registry("task")


def headline(task: str, results: Results) -> str:
    """The figures that summarise an evaluation on one line, such as `IoU 0.71  F 0.83`."""
    cells = []
    for title, keys in EVALUATORS[task].headline().items():
        value: Any = results
        for key in keys.split("/"):
            value = value.get(key) if isinstance(value, dict) else None
        cells.append(f"{title} {value:.4g}" if isinstance(value, float) else f"{title} none")
    number = results["num_images"]
    return "  ".join([*cells, f"({number} image{'' if number == 1 else 's'})"])


def report(task: str, dataset_name: str, results: Results) -> list[str]:
    """Lines that show an evaluation: the headline, and below it the table of the task."""
    rows = EVALUATORS[task].table(results)
    return [f"{dataset_name:<16} {headline(task, results)}", *(f"    {row}" for row in rows)]


def build_evaluator(
    task: str, dataset_name: str, output_dir: str | Path, options: EvaluationOptions = DEFAULTS
) -> Evaluator:
    """Evaluator of a task; raises ValueError for an unknown task."""
    return EVALUATORS[task](dataset_name, output_dir, options)
