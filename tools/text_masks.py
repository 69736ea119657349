"""Command: scores of text masks in files against true masks, per image and in total."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skimage.filters import threshold_sauvola
from torch import Tensor

from datasets.files import Folder, match_folders
from eval.metrics import ConfusionMatrix, interval, resamples
from eval.text_segmentation import text_figures
from utils.cli import Parser, run
from utils.files import write_json
from utils.image import read_rgb


def read_mask(path: Path, text: str, unknown: int | None = None) -> Tensor:
    """(H, W) int64, 1 for text: the `dark` or the `bright` half of luma; -1 for `unknown` luma."""
    luma = _read_luma(path)
    mask = torch.from_numpy((luma < 128) if text == "dark" else (luma >= 128)).long()
    if unknown is not None:
        mask[torch.from_numpy(luma == unknown)] = -1
    return mask


def sauvola_mask(path: Path, window: int) -> Tensor:
    """(H, W) int64, 1 for dark text by Sauvola's threshold."""
    luma = _read_luma(path)
    return torch.from_numpy(luma < threshold_sauvola(luma, window_size=window)).long()


def _read_luma(path: Path) -> np.ndarray:
    return np.asarray(read_rgb(path).convert("L"))


def score_masks(pairs: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Any]:
    """fgIoU, precision, recall and F of text, per image and over all pixels.

    pairs: name -> predicted and true mask (H, W). The 95 % confidence interval is a bootstrap over
    images. Raises ValueError naming a pair of different sizes.
    """
    counts, images = [], {}
    for name, (predicted, true) in pairs.items():
        matrix = ConfusionMatrix(num_classes=2)
        try:
            matrix.update(predicted, true)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        counts.append(matrix.counts)
        images[name] = text_figures(matrix)
    per_image = torch.stack(counts)
    spread = per_image[resamples(len(per_image))].sum(dim=1)
    return {
        "num_images": len(per_image),
        **text_figures(ConfusionMatrix(2, per_image.sum(dim=0))),
        "fg_iou_interval": interval(
            [text_figures(ConfusionMatrix(2, total))["fg_iou"] for total in spread]
        ),
        "images": images,
    }


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--gt_path", type=Path, required=True, help="folder of the true masks")
    add("--gt_ending", default="", help="the true masks are named NAME + this")
    add("--gt_text", choices=["dark", "bright"], default="bright", help="text in the true masks")
    add("--gt_unknown", type=int, metavar="LEVEL",
        help="grey level of pixels in the true masks that do not count")  # fmt: skip
    add("--target_path", type=Path, required=True, help="folder of the masks, text bright")
    add("--target_ending", default="", help="the masks are named NAME + this, .mask by predict.py")
    add("--sauvola", type=int, metavar="WINDOW",
        help="baseline: the targets are images, masked by Sauvola's threshold")  # fmt: skip
    add("--json", type=Path, help="also write the results to this file")
    return parser


def main() -> None:
    """Score, print, write."""
    args = build_parser().parse_args()
    window = args.sauvola
    if window is not None and (window < 3 or window % 2 == 0):
        raise ValueError(f"--sauvola is {window}, expected an odd number above 2")
    files = match_folders(
        Folder(args.target_path, ending=args.target_ending),
        Folder(args.gt_path, ending=args.gt_ending),
    )
    pairs = {}
    for name, (path, label) in files.items():
        mask = sauvola_mask(path, window) if window else read_mask(path, "bright")
        pairs[name] = mask, read_mask(label, args.gt_text, args.gt_unknown)
    results = score_masks(pairs)
    for name, figures in results["images"].items():
        print(f"{name:<24}" + "".join(f"  {key} {value:.3f}" for key, value in figures.items()))
    low, high = results["fg_iou_interval"]
    print(f"total: fgIoU {results['fg_iou']:.3f} ({low:.3f} to {high:.3f})")
    if args.json:
        write_json(args.json, results)


if __name__ == "__main__":
    run(main)
