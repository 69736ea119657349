"""From pairs of image files to the two sets of averages, for the evaluator and the command."""

from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from eval.metrics import interval, paper_metrics, resamples, strict_metrics
from utils.image import read_rgb

PROTOCOL = "text_removal_image_average"
PAPER = ("psnr", "mssim", "mse", "age", "peps", "pceps")
STRICT = ("psnr", "ms_ssim", "ssim", "mse", "age", "peps", "pceps")

PairScore = dict[str, dict[str, float] | None]


def score_pair(output_path: Path, label_path: Path) -> PairScore:
    """`paper` (None for identical images) and `strict` metrics of one output and its label.

    Raises ValueError naming the file: unreadable, of another size than its label, or too small for
    SSIM.
    """
    output, label = np.asarray(read_rgb(output_path)), np.asarray(read_rgb(label_path))
    if output.shape != label.shape:
        sizes = [f"{width} x {height}" for height, width, _ in (output.shape, label.shape)]
        raise ValueError(f"{output_path}: {sizes[0]} pixels, but {label_path} has {sizes[1]}")
    try:
        return {"paper": paper_metrics(output, label), "strict": strict_metrics(output, label)}
    except ValueError as error:
        raise ValueError(f"{output_path}: {error}") from None


def average_scores(scores: Iterable[PairScore]) -> dict[str, dict]:
    """Averages over the images: {"paper": {...}, "strict": {...}}, units as in `eval.metrics`.

    Each set names its protocol and how many images it counted: `num_images` went into the averages,
    `num_identical` were equal to their label (as the protocol sees them). If `paper` leaves every
    image out, its averages are None. The mean is exact before it is rounded, so that the order of
    the images does not matter. `psnr_interval` holds the mean with a probability of 95 %, as the
    images resampled (bootstrap) tell.
    """
    scores = list(scores)
    paper = [score["paper"] for score in scores if score["paper"] is not None]
    strict = [score["strict"] for score in scores]
    return {
        "paper": {
            "protocol": "paper",
            "num_images": len(paper),
            "num_identical": len(scores) - len(paper),
            **{key: fmean(score[key] for score in paper) if paper else None for key in PAPER},
        },
        "strict": {
            "protocol": "strict",
            "num_images": len(strict),
            "num_identical": sum(score["mse"] == 0 for score in strict),
            **{key: fmean(score[key] for score in strict) for key in STRICT},
            "psnr_interval": _mean_interval([score["psnr"] for score in strict]),
        },
    }


def _mean_interval(values: list[float]) -> list[float]:
    values = torch.tensor(sorted(values), dtype=torch.float64)
    return interval(values[resamples(len(values))].mean(dim=1))
