"""Evaluator of text removal: writes the outputs and scores the files."""

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from eval.evaluator import EVALUATORS, Evaluator, Results, Samples
from eval.text_removal.scores import PROTOCOL, PairScore, average_scores, score_pair, table_rows
from tasks import TEXT_REMOVAL
from utils import dist
from utils.image import tensor_to_array, write_png


@EVALUATORS.register(TEXT_REMOVAL.name)
class TextRemovalEvaluator(Evaluator):
    """Writes every output at the size of its input file, as `NAME.png`.

    The command `eval/text_removal/evaluation.py` gives the same figures for the folder.
    """

    def setup(self) -> None:
        self.scores: dict[str, PairScore | None] = {}  # by name; None without a label

    def update(self, outputs: Tensor, samples: Samples) -> None:
        """Write and score a batch.

        The samples have `name`, `size` (height, width) and `label_path` (a file or None). Raises
        ValueError for an unreadable label, a label whose size is not that of the input, and a
        repeated name.
        """
        for output, sample in zip(outputs, samples, strict=True):
            name, label_path = sample["name"], sample["label_path"]
            if name in self.scores:
                raise ValueError(f"{self.folder}: two images are called {name}")
            path = self.folder / f"{name}.png"
            write_png(path, _resize(tensor_to_array(output), sample["size"]))
            self.scores[name] = None if label_path is None else score_pair(path, Path(label_path))

    def compute(self) -> Results:
        """`protocol`, `num_images` and, with labels, the sets `paper` and `strict`."""
        gathered = [
            score for part in dist.all_gather_objects(self.scores) for score in part.values()
        ]
        scores = [score for score in gathered if score is not None]
        results = {"protocol": PROTOCOL, "num_images": len(gathered)}
        return results | (average_scores(scores) if scores else {})

    def score(self, results: Results) -> float | None:
        return results["strict"]["psnr"] if "strict" in results else None

    @classmethod
    def headline(cls) -> dict[str, str]:
        return {"PSNR of the whole output": "strict/psnr", "paper's PSNR": "paper/psnr"}

    @classmethod
    def table(cls, results: Results) -> list[str]:
        return table_rows(results) if "strict" in results else []


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
