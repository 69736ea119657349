"""Command: scores without a network, for comparison with trained ones."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from skimage.filters import threshold_otsu

from datasets import TextDataset
from eval.evaluator import Results, report
from eval.pixel_classes import class_numbers
from eval.tampered_text_detection import TamperedTextDetectionEvaluator
from eval.text_removal.scores import PairScore, average_scores, score_pair
from eval.text_segmentation import TextSegmentationEvaluator
from tasks import TAMPERED_TEXT_DETECTION, TEXT_REMOVAL, TEXT_SEGMENTATION
from tools.evaluated import add_data_options, evaluated_datasets
from utils.cli import Parser, run
from utils.registry import Registry

Baseline = Callable[[TextDataset], dict[str, Results]]  # -> results of one or several baselines

BASELINES: Registry[Baseline] = Registry("task with a baseline")


@BASELINES.register(TEXT_REMOVAL.name)
def copied_input(dataset: TextDataset) -> dict[str, Results]:
    """Text removal that removes nothing: the scores of the inputs themselves.

    Raises ValueError naming an image without a label.
    """
    scores: list[PairScore] = []
    for item in dataset.items:
        if item.label is None:
            raise ValueError(f"{item.image}: no label to compare it with")
        scores.append(score_pair(item.image, item.label))
    return {"copied input": {"num_images": len(scores)} | average_scores(scores)}


@BASELINES.register(TEXT_SEGMENTATION.name)
def otsu(dataset: TextDataset) -> dict[str, Results]:
    """Segmentation by Otsu's threshold of each image's luma, for dark and for bright text."""
    evaluators = {name: TextSegmentationEvaluator("", Path()) for name in ("dark", "bright")}
    for item in dataset.items:
        images = dataset.read(item)
        luma = np.asarray(images["image"].convert("L"))
        bright = torch.from_numpy(luma > threshold_otsu(luma))
        sample = [{"label": torch.from_numpy(np.array(images["label"]))}]
        for name, text in (("dark", ~bright), ("bright", bright)):
            evaluators[name].update(text.float().expand(1, 3, -1, -1), sample)
    return {f"Otsu, {name} text": found.compute() for name, found in evaluators.items()}


@BASELINES.register(TAMPERED_TEXT_DETECTION.name)
def known_boxes(dataset: TextDataset) -> dict[str, Results]:
    """Detection with the true boxes: all text genuine, or a coin toss for every pixel of text.

    The coin knows nothing, but gains mean IoU: only a higher score tells the two classes apart.
    """
    names = ("true boxes, all genuine", "true boxes, a coin toss per pixel")
    evaluators = [TamperedTextDetectionEvaluator("", Path()) for _ in names]
    task, random = TAMPERED_TEXT_DETECTION, torch.Generator().manual_seed(0)
    genuine = 1
    for item in dataset.items:
        label = np.array(dataset.read(item)["label"])
        text = torch.from_numpy(class_numbers(label, task.classes)) > 0  # (H, W)
        coin = torch.randint(2, text.shape, generator=random)
        for evaluator, tampered in zip(evaluators, (torch.zeros_like(coin), coin), strict=True):
            guess = torch.eye(len(task.classes))[text * (genuine + tampered)]  # (H, W, 3)
            evaluator.update(guess.permute(2, 0, 1)[None], [{"label": torch.from_numpy(label)}])
    return {name: each.compute() for name, each in zip(names, evaluators, strict=True)}


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add_data_options(parser)
    return parser


def main() -> None:
    """Print the baselines of every data set as an evaluation prints its results."""
    args = build_parser().parse_args()
    for dataset in evaluated_datasets(args.eval_data_cfg_path, args.data_root):
        for name, results in BASELINES[dataset.task](dataset).items():
            print("\n".join(report(dataset.task, f"{dataset.name}, {name}", results)))


if __name__ == "__main__":
    run(main)
