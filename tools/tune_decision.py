"""Command: compare rules for which stroke groups count as text, see `upocr.decisions`."""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from synthesis.folders import find_files
from synthesis.scene.scans import read_scan
from tasks import TAMPERED_TEXT_DETECTION, TEXT_SEGMENTATION
from tools.evaluated import add_data_options, evaluated_datasets
from upocr import UPOCR
from upocr.decisions import TextRule, means, stroke_groups
from upocr.results import ClassMap
from utils.cli import Parser, run
from utils.image import SUFFIXES, read_rgb

TASKS = (TEXT_SEGMENTATION.name, TAMPERED_TEXT_DETECTION.name)
ALL_GROUPS = TextRule(margin=0, min_agreement=-1)  # the decision by pixel
RULES = [
    ALL_GROUPS,
    *(
        TextRule(*values)
        for values in itertools.product(
            (0, 1 / 6, 1 / 3), (0.1, 0.25, 0.5), (0.5, 0.55, 0.6, 0.65, 0.7, 1.0)
        )
    ),
]
DOCUMENT_SIDE = 1024  # largest side of the central part of a document that is read, in pixels


@dataclass(frozen=True)
class Groups:
    """Stroke groups of one picture; all arrays hold one entry per group.

    Args:
        probability: mean of the segmentation, 0-1.
        agreement: part in which detection finds text, 0-1.
        area: in pixels.
        right: pixels that lie on text.
        text: pixels of text in the picture, found or not; the found ones where labels are boxes.
        pixels: size of the picture.
    """

    probability: np.ndarray
    agreement: np.ndarray
    area: np.ndarray
    right: np.ndarray
    text: int
    pixels: int

    def count(self, rule: TextRule) -> np.ndarray:
        """[right, called text, text, pixels] under a rule."""
        kept = rule.keeps(self.probability, self.agreement, TEXT_SEGMENTATION.threshold)
        return np.array([self.right[kept].sum(), self.area[kept].sum(), self.text, self.pixels])


def find_groups(model: UPOCR, rgb: np.ndarray, labels: np.ndarray | None, boxes: bool) -> Groups:
    """Run the model on a picture (H, W, 3) uint8.

    labels: (H, W) bool, text; None for a picture without text.
    boxes: whether the labels are boxes, so that only text that was found counts as text.
    """
    results = model.run(rgb, TASKS, decision="pixel")
    segmented, detected = (results[name] for name in TASKS)
    assert isinstance(segmented, ClassMap)
    assert isinstance(detected, ClassMap)
    labels = np.zeros(rgb.shape[:2], bool) if labels is None else labels
    groups = stroke_groups(segmented.classes)
    count = int(groups.max()) + 1
    area = np.bincount(groups.ravel(), minlength=count)
    right = np.bincount(groups[labels], minlength=count)
    return Groups(
        means(groups, segmented.scores)[1:] / 255,
        means(groups, detected.classes > 0)[1:],
        area[1:],
        right[1:],
        int(right[1:].sum() if boxes else labels.sum()),
        labels.size,
    )


def labelled_groups(model: UPOCR, configs: Sequence[str], root: str) -> Iterator[Groups]:
    """Groups of data sets of text segmentation."""
    for dataset in evaluated_datasets(configs, root):
        if dataset.task != TEXT_SEGMENTATION.name:
            raise ValueError(f"{dataset.name}: expected a data set of {TEXT_SEGMENTATION.name}")
        for index in tqdm(range(len(dataset)), unit="image", disable=None):
            labels = dataset[index]["label"].numpy() == 255
            yield find_groups(model, np.array(read_rgb(dataset.items[index].image)), labels, False)


def document_groups(model: UPOCR, paths: Sequence[Path]) -> Iterator[Groups]:
    """Groups of the central parts of documents with word boxes."""
    for path in tqdm(paths, unit="document", disable=None):
        scan = read_scan(path)
        labels: np.ndarray = np.zeros(scan.pixels.shape[:2], bool)
        for word in scan.words:
            labels[word.region.window] = True
        top = max(0, len(labels) - DOCUMENT_SIDE) // 2
        left = max(0, labels.shape[1] - DOCUMENT_SIDE) // 2
        part = np.s_[top : top + DOCUMENT_SIDE, left : left + DOCUMENT_SIDE]
        yield find_groups(model, np.ascontiguousarray(scan.pixels[part]), labels[part], True)


def print_rules(sets: dict[str, list[Groups]]) -> None:
    """One line per rule; pixels of all pictures of a set are counted together."""
    print("margin  agreement  sure   IoU    precision  recall   false text  documents kept")
    for rule in RULES:
        sums = {
            name: np.sum([each.count(rule) for each in groups], axis=0)
            for name, groups in sets.items()
            if groups
        }
        right, called, text, _ = sums["labelled"]
        line = f"{rule.margin:6.3f}  {rule.min_agreement:9.2f}  {rule.sure:4.2f}  "
        line += f"{right / (called + text - right):.4f}  {right / max(called, 1):9.4f}  "
        line += f"{right / text:6.4f}"
        if "text-free" in sums:
            line += f"  {sums['text-free'][1] / sums['text-free'][3]:10.4%}"
        if "documents" in sums:
            line += f"  {sums['documents'][0] / max(sums['documents'][2], 1):14.4f}"
        print(line)


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("weights", type=Path, help="as for predict.py")
    add_data_options(parser)
    add("--text_free", type=Path, nargs="*", default=[], help="folders of text-free photographs")
    add("--documents", type=Path, nargs="*", default=[], help="folders as --scans of the synthesis")
    return parser


def main() -> None:
    """Run the model once per picture, then count under every rule."""
    args = build_parser().parse_args()
    model = UPOCR.from_pretrained(args.weights)
    sets = {"labelled": list(labelled_groups(model, args.eval_data_cfg_path, args.data_root))}
    photographs = find_files(args.text_free, SUFFIXES, "photographs")
    sets["text-free"] = [
        find_groups(model, np.array(read_rgb(path)), None, False)
        for path in tqdm(photographs, unit="photograph", disable=None)
    ]
    sets["documents"] = list(
        document_groups(model, find_files(args.documents, SUFFIXES, "documents"))
    )
    print_rules(sets)


if __name__ == "__main__":
    run(main)
