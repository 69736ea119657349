"""Command: scores of text masks in files against true masks, image by image and together."""

import argparse
from pathlib import Path

import numpy as np
import torch
from skimage.filters import threshold_sauvola
from torch import Tensor

from datasets.files import list_files
from eval.metrics import ConfusionMatrix, interval, resamples
from eval.text_segmentation import text_figures
from utils.cli import Parser, run
from utils.files import write_json
from utils.image import SUFFIXES, read_rgb


def read_mask(path: Path, text: str) -> Tensor:
    """Where text is, (H, W) int64 of 0 and 1; `text` is the `dark` or the `bright` half of luma."""
    luma = np.asarray(read_rgb(path).convert("L"))
    return torch.from_numpy((luma < 128) if text == "dark" else (luma >= 128)).long()


def sauvola_mask(path: Path, window: int) -> Tensor:
    """Dark text by Sauvola's threshold (skimage.filters.threshold_sauvola), (H, W) int64."""
    luma = np.asarray(read_rgb(path).convert("L"))
    return torch.from_numpy(luma < threshold_sauvola(luma, window_size=window)).long()


def score_masks(pairs: dict[str, tuple[Tensor, Tensor]]) -> dict:
    """fgIoU, precision, recall and F of text: each image's, and of all pixels together.

    pairs: name -> predicted and true mask (H, W). The interval of 95 % is a bootstrap over images.
    Raises ValueError naming the pair whose sizes differ.
    """
    counts, images = [], {}
    for name, (predicted, true) in pairs.items():
        matrix = ConfusionMatrix(num_classes=2)
        try:
            matrix.update(predicted, true)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        counts.append(matrix.counts)
        images[name] = _figures(matrix.counts)
    every = torch.stack(counts)
    spread = every[resamples(len(every))].sum(dim=1)
    return {
        "num_images": len(every),
        **_figures(every.sum(dim=0)),
        "fg_iou_interval": interval([_figures(part)["fg_iou"] for part in spread]),
        "images": images,
    }


def _figures(counts: Tensor) -> dict[str, float]:
    matrix = ConfusionMatrix(num_classes=2)
    matrix.counts = counts
    return text_figures(matrix)


def match_masks(
    folder: Path, ending: str, label_folder: Path, label_ending: str
) -> dict[str, tuple[Path, Path]]:
    """NAME -> files NAME + ending and NAME + label_ending of the two folders, in natural order.

    Raises ValueError for a missing folder, without any pair, and for a file without its partner.
    """
    masks, labels = (
        {name.removesuffix(end): path for name, path in files.items() if name.endswith(end)}
        for files, end in (
            (list_files(folder, SUFFIXES), ending),
            (list_files(label_folder, SUFFIXES), label_ending),
        )
    )
    if folder == label_folder:  # the one kind lies among the other, if that has no ending
        if not ending:
            masks = {name: path for name, path in masks.items() if not name.endswith(label_ending)}
        if not label_ending:
            labels = {name: path for name, path in labels.items() if not name.endswith(ending)}
    if not masks:
        raise ValueError(f"{folder}: no image of a name that ends with {ending!r}")
    for name, path in masks.items():
        if name not in labels:
            raise ValueError(f"{path}: no image named {name}{label_ending} in {label_folder}")
    for name, path in labels.items():
        if name not in masks:
            raise ValueError(f"{path}: no image named {name}{ending} in {folder}")
    return {name: (path, labels[name]) for name, path in masks.items()}


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--gt_path", type=Path, required=True, help="folder of the true masks")
    add("--gt_ending", default="", help="they are named NAME + this")
    add("--gt_text", choices=["dark", "bright"], default="bright", help="what is text in them")
    add("--target_path", type=Path, required=True, help="folder of the masks, text bright")
    add("--target_ending", default="", help="they are named NAME + this, by predict.py .mask")
    add(
        "--sauvola",
        type=int,
        metavar="WINDOW",
        help="a baseline: the targets are pictures, of which Sauvola's threshold makes the masks",
    )
    add("--json", type=Path, help="also write the results to this file")
    return parser


def main() -> None:
    """Score, print, write."""
    args = build_parser().parse_args()
    if args.sauvola is not None and (args.sauvola < 3 or args.sauvola % 2 == 0):
        raise ValueError(f"--sauvola {args.sauvola} is not an odd number from 3 on")
    files = match_masks(args.target_path, args.target_ending, args.gt_path, args.gt_ending)
    results = score_masks(
        {
            name: (
                sauvola_mask(path, args.sauvola) if args.sauvola else read_mask(path, "bright"),
                read_mask(label, args.gt_text),
            )
            for name, (path, label) in files.items()
        }
    )
    for name, figures in results["images"].items():
        print(f"{name:<24}" + "".join(f"  {key} {value:.3f}" for key, value in figures.items()))
    low, high = results["fg_iou_interval"]
    print(f"together: fgIoU {results['fg_iou']:.3f} ({low:.3f} to {high:.3f})")
    if args.json:
        write_json(args.json, results)


if __name__ == "__main__":
    run(main)
