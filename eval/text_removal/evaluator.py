"""Evaluator of text removal: writes the outputs and scores what was written."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from eval.text_removal.scores import PROTOCOL, PairScore, average_scores, score_pair
from utils import dist
from utils.image import tensor_to_array, write_png


class TextRemovalEvaluator:
    """Writes every output at the size of its input file, and scores what was written.

    The files are `output_dir/data_set_name/NAME.png`. The command `eval/text_removal/evaluation.py`
    gives the same figures for that folder.

    Args:
        data_set_name: folder of the outputs.
        output_dir: where that folder is made.
    """

    def __init__(self, data_set_name: str, output_dir: Path) -> None:
        self.folder = Path(output_dir) / data_set_name
        self.scores: dict[str, PairScore | None] = {}  # by name; None without a label

    def update(self, outputs: Tensor, samples: Sequence[dict]) -> None:
        """Write and score a batch.

        outputs: (B, 3, S, S) RGB in [0, 1], any device; samples: B evaluation samples, of which
        `name`, `size` (height, width) and `label_path` (None or a file) are read. Raises ValueError
        for an unreadable label, a label of another size than the input, and a second image of the
        same name.
        """
        for output, sample in zip(outputs, samples, strict=True):
            name, label_path = sample["name"], sample["label_path"]
            if name in self.scores:
                raise ValueError(f"{self.folder}: two images are called {name}")
            path = self.folder / f"{name}.png"
            write_png(path, _resize(tensor_to_array(output), sample["size"]))
            self.scores[name] = None if label_path is None else score_pair(path, Path(label_path))

    def compute(self) -> dict:
        """Over all processes: `num_images`, and with labels the sets `paper` and `strict`."""
        gathered = [
            score for part in dist.all_gather_objects(self.scores) for score in part.values()
        ]
        scores = [score for score in gathered if score is not None]
        results = {"protocol": PROTOCOL, "num_images": len(gathered)}
        return results | (average_scores(scores) if scores else {})

    @staticmethod
    def score(results: dict) -> float | None:
        """PSNR in dB, higher is better, to choose a checkpoint by; None without labels."""
        return results["strict"]["psnr"] if "strict" in results else None


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
