"""From pairs of image files to the two sets of averages, for the evaluator and the command."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, TypedDict

import numpy as np
import torch

from eval.metrics import interval, paper_metrics, resamples, strict_metrics
from utils.image import read_rgb

PROTOCOL = "text_removal_image_average"
PAPER = ("psnr", "mssim", "mse", "age", "peps", "pceps")
STRICT = ("psnr", "ms_ssim", "ssim", "mse", "age", "peps", "pceps")
UNITS = {"psnr": "dB", "age": "grey levels"}


class PairScore(TypedDict):
    """Metrics of one output and its label; `paper` is None for identical images."""

    paper: dict[str, float] | None
    strict: dict[str, float]


def score_pair(output_path: Path, label_path: Path) -> PairScore:
    """Metrics of one output and its label.

    Raises ValueError naming the file: unreadable, not of the size of its label, too small for SSIM
    or too long for the protocol of the paper.
    """
    output, label = np.asarray(read_rgb(output_path)), np.asarray(read_rgb(label_path))
    if output.shape != label.shape:
        sizes = [f"{width} x {height}" for height, width, _ in (output.shape, label.shape)]
        raise ValueError(f"{output_path}: {sizes[0]} pixels, but {label_path} has {sizes[1]}")
    try:
        return {"paper": paper_metrics(output, label), "strict": strict_metrics(output, label)}
    except ValueError as error:
        raise ValueError(f"{output_path}: {error}") from None


def average_scores(scores: Iterable[PairScore]) -> dict[str, dict[str, Any]]:
    """Averages over the images: {"paper": {...}, "strict": {...}}, units as in `eval.metrics`.

    `num_images` counts the images in the averages, `num_identical` those equal to their label as
    the protocol sees them. If `paper` excludes every image, its averages are None. Means are exact
    before rounding, so the order of the images does not matter. `psnr_interval` is a 95 %
    confidence interval of the mean (bootstrap over images).
    """
    scores = list(scores)
    paper = [score["paper"] for score in scores if score["paper"] is not None]
    strict = [score["strict"] for score in scores]
    return {
        "paper": {
            "protocol": "paper",
            "num_images": len(paper),
            "num_identical": len(scores) - len(paper),
            **{key: fmean(each[key] for each in paper) if paper else None for key in PAPER},
        },
        "strict": {
            "protocol": "strict",
            "num_images": len(strict),
            "num_identical": sum(each["mse"] == 0 for each in strict),
            **{key: fmean(each[key] for each in strict) for key in STRICT},
            "psnr_interval": _mean_interval([each["psnr"] for each in strict]),
        },
    }


def _mean_interval(values: list[float]) -> list[float]:
    ordered = torch.tensor(sorted(values), dtype=torch.float64)
    return interval(ordered[resamples(len(ordered))].mean(dim=1))


def table_rows(averages: Mapping[str, dict[str, Any]]) -> list[str]:
    """Both sets of `average_scores` side by side, with the digits of float32."""
    paper, strict = averages["paper"], averages["strict"]
    rows = [f"{'':<10}{'paper':>14}{'strict':>14}"]
    for key in ("num_images", "num_identical", *dict.fromkeys(PAPER + STRICT)):
        cells = [_cell(part, key) for part in (paper, strict)]
        rows.append(f"{key:<14}{cells[0]:>10}{cells[1]:>14}  {UNITS.get(key, '')}".rstrip())
    low, high = strict["psnr_interval"]
    rows.append(f"{'psnr, 95 %':<14}{'-':>10}{f'{low:.2f}-{high:.2f}':>14}  {UNITS['psnr']}")
    return rows


def _cell(part: dict[str, Any], key: str) -> str:
    if key not in part:
        return "-"
    value = part[key]
    if isinstance(value, float):
        return f"{value:#.7g}"
    return "none" if value is None else str(value)
