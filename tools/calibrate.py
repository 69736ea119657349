"""Command: calibrate the verdict on tampered words, and write it into a file of weights."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.torch import load_file, save
from scipy.optimize import minimize
from tqdm import tqdm

from eval.pixel_classes import class_numbers
from synthesis.folders import find_files
from tasks import TAMPERED_TEXT_DETECTION, Verdict
from tools.evaluated import add_data_options, evaluated_datasets
from upocr import UPOCR
from upocr.decisions import GENUINE, TAMPERED, word_shares
from upocr.results import TamperingDetection
from utils.cli import Parser, run
from utils.files import atomic_path
from utils.image import SUFFIXES

RIDGE = 1e-3  # keeps the slope finite where the classes are separable


@dataclass(frozen=True)
class Words:
    """Words that a model found in pictures, one entry per word.

    Args:
        shares: mean share of `tampered` in the evidence, in [0, 1].
        areas: in pixels.
        tampered: whether most of the word is labelled tampered.
    """

    shares: np.ndarray
    areas: np.ndarray
    tampered: np.ndarray

    @classmethod
    def join(cls, parts: Sequence["Words"]) -> "Words":
        """Words of several pictures."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in FIELDS))


FIELDS = ("shares", "areas", "tampered")


def find_words(model: UPOCR, image: Path, labels: np.ndarray | None) -> Words:
    """Words of one picture.

    labels: (H, W) class numbers, other numbers are ignored; None if all text is genuine. Words of
    which less than half lies on labelled text are left out.
    """
    task = TAMPERED_TEXT_DETECTION.name
    result = model.run(image, [task], decision="pixel")[task]
    assert isinstance(result, TamperingDetection)
    words, shares = word_shares(result.classes, result.scores)
    areas = np.bincount(words.ravel(), minlength=len(shares))
    if labels is None:
        labels = np.full(words.shape, GENUINE)
    genuine, tampered = (
        np.bincount(words.ravel(), (labels == number).ravel(), len(shares))
        for number in (GENUINE, TAMPERED)
    )
    known = 2 * (genuine + tampered) >= areas
    known &= areas > 0
    known[0] = False
    return Words(shares[known], areas[known], tampered[known] > genuine[known])


def fit(words: Words) -> tuple[float, float]:
    """Slope and offset of the logistic curve from shares to probabilities (Platt's scaling).

    Both classes weigh the same, whatever their numbers. Raises ValueError if one is missing.
    """
    if words.tampered.all() or not words.tampered.any():
        raise ValueError("the labelled images need genuine and tampered words that the model finds")
    share = words.shares.clip(1e-4, 1 - 1e-4)
    logits = np.log(share / (1 - share))
    sign = np.where(words.tampered, 1.0, -1.0)
    weights = np.where(words.tampered, 1 / words.tampered.mean(), 1 / (~words.tampered).mean())

    def loss(parameters: np.ndarray) -> float:
        margin = sign * (parameters[0] * logits + parameters[1])
        return float((weights * np.logaddexp(0, -margin)).mean() + RIDGE * parameters[0] ** 2)

    slope, offset = minimize(loss, np.array([1.0, 0.0])).x
    return float(slope), float(offset)


def false_alarms(words: Words, verdict: Verdict) -> float:
    """Share of the area of genuine words that is called tampered, 0-1."""
    genuine = ~words.tampered
    called = genuine & (verdict.probability(words.shares) >= verdict.threshold)
    return float(words.areas[called].sum() / max(words.areas[genuine].sum(), 1))


def recall(words: Words, verdict: Verdict) -> float:
    """Share of the area of tampered words that is called tampered, 0-1."""
    called = words.tampered & (verdict.probability(words.shares) >= verdict.threshold)
    return float(words.areas[called].sum() / max(words.areas[words.tampered].sum(), 1))


def calibrate(labelled: Words, genuine: Words | None, max_false_alarms: float) -> Verdict:
    """The verdict with the lowest threshold that keeps to the false alarms in both sets."""
    slope, offset = fit(labelled)
    sets = [labelled] if genuine is None else [labelled, genuine]
    for threshold in np.linspace(0.005, 0.995, 199):
        verdict = Verdict(slope, offset, round(float(threshold), 3))
        if all(false_alarms(words, verdict) <= max_false_alarms for words in sets):
            return verdict
    raise ValueError(f"no threshold keeps false alarms below {max_false_alarms:.1%} of the text")


def write_verdict(path: Path, verdict: Verdict) -> None:
    """Replace the verdict in a safetensors file; the weights stay."""
    with safe_open(path, framework="pt") as file:
        header = dict(file.metadata() or {})
    header["verdict"] = json.dumps(asdict(verdict))
    tensors = load_file(path)
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, header))


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("weights", type=Path, help="NAME.safetensors, see tools.export")
    add_data_options(parser)
    add("--genuine", type=Path, nargs="*", default=[], help="folders of photographs, not forged")
    add("--max_false_alarms", type=float, default=0.05, help="share of genuine text, by area")
    add("--write", action="store_true", help="write the verdict into the file of weights")
    return parser


def main() -> None:
    """Find words, calibrate, say what that means, write if asked to."""
    args = build_parser().parse_args()
    if args.weights.suffix != ".safetensors":
        raise ValueError(f"{args.weights}: expected a safetensors file, see tools.export")
    model = UPOCR.from_pretrained(args.weights)
    labelled = []
    for dataset in evaluated_datasets(args.eval_data_cfg_path, args.data_root):
        if dataset.task != TAMPERED_TEXT_DETECTION.name:
            raise ValueError(
                f"{dataset.name}: expected a data set of {TAMPERED_TEXT_DETECTION.name}"
            )
        for index in tqdm(range(len(dataset)), unit="image", disable=None):
            labels = class_numbers(dataset[index]["label"].numpy(), TAMPERED_TEXT_DETECTION.classes)
            labelled.append(find_words(model, dataset.items[index].image, labels))
    paths = find_files(args.genuine, SUFFIXES, "photographs") if args.genuine else []
    photographs = [find_words(model, path, None) for path in tqdm(paths, disable=None)]
    genuine = Words.join(photographs) if photographs else None
    words = Words.join(labelled)
    verdict = calibrate(words, genuine, args.max_false_alarms)
    print(f"slope {verdict.slope:.3f}, offset {verdict.offset:.3f}, threshold {verdict.threshold}")
    print(
        f"labelled images: {recall(words, verdict):.1%} of the tampered text that was found and "
        f"{false_alarms(words, verdict):.1%} of the genuine text are called tampered"
    )
    if genuine is not None:
        print(f"photographs: {false_alarms(genuine, verdict):.1%} of the text is called tampered")
    if args.write:
        write_verdict(args.weights, verdict)


if __name__ == "__main__":
    run(main)
