"""Command: figures of what needs no network, to hold trained ones against."""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from skimage.filters import threshold_otsu

from datasets import TextDataset, build_dataset
from eval.tampered_text_detection import TamperedTextDetectionEvaluator
from eval.text_removal.scores import average_scores, score_pair
from eval.text_segmentation import TextSegmentationEvaluator
from utils.cli import Parser, run
from utils.image import image_to_tensor


def copied_input(dataset: TextDataset) -> dict[str, dict]:
    """Text removal that removes nothing: both sets of figures of the inputs themselves.

    Raises ValueError naming an image without a label.
    """
    for item in dataset.items:
        if item.label is None:
            raise ValueError(f"{item.image}: no label to compare it with")
    return {"copied input": average_scores(score_pair(i.image, i.label) for i in dataset.items)}


def otsu(dataset: TextDataset) -> dict[str, dict]:
    """Segmentation by Otsu's threshold of each picture's luma, for dark and for bright text."""
    evaluators = {name: TextSegmentationEvaluator("", Path()) for name in ("dark", "bright")}
    for item in dataset.items:
        images = dataset.read(item)
        luma = np.asarray(images["image"].convert("L"))
        bright = torch.from_numpy(luma > threshold_otsu(luma))
        sample = [{"label": torch.from_numpy(np.array(images["label"]))}]
        for name, text in (("dark", ~bright), ("bright", bright)):
            evaluators[name].update(text.float().expand(1, 3, -1, -1), sample)
    return {f"Otsu, {name} text": found.compute() for name, found in evaluators.items()}


def known_boxes(dataset: TextDataset) -> dict[str, dict]:
    """Detection that knows every box: all text genuine, or a coin for every pixel of it.

    The coin knows nothing either, but gains mean IoU: only above it are the two told apart.
    """
    genuine, coin = (TamperedTextDetectionEvaluator("", Path()) for _ in range(2))
    draw = torch.Generator().manual_seed(0)
    for item in dataset.items:
        label = image_to_tensor(dataset.read(item)["label"])  # (3, H, W)
        background, genuine_text, tampered = label.float() / 255
        text = torch.maximum(genuine_text, tampered)
        share = torch.randint(2, text.shape, generator=draw)
        sample = [{"label": label.permute(1, 2, 0)}]
        for evaluator, forged in ((genuine, torch.zeros_like(text)), (coin, share * text)):
            guess = torch.stack((background, text - forged, forged))
            evaluator.update(guess[None], sample)
    return {
        "true boxes, all genuine": genuine.compute(),
        "true boxes, a coin for every pixel": coin.compute(),
    }


BASELINES = {
    "text_removal": copied_input,
    "text_segmentation": otsu,
    "tampered_text_detection": known_boxes,
}


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--eval_data_cfg_path", nargs="+", required=True, help="as for an evaluation")
    add("--data_root", default="data", help="as for an evaluation")
    return parser


def main() -> None:
    """Print the baselines of every data set as JSON."""
    args = build_parser().parse_args()
    found = {}
    for path in args.eval_data_cfg_path:
        # The size of a network's input does not matter here: pictures keep their own.
        dataset = build_dataset(path, image_size=32, data_root=args.data_root)
        found[dataset.name] = BASELINES[dataset.task](dataset)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    run(main)
