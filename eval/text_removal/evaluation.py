"""Command: text-removal metrics of a folder of outputs against a folder of labels."""

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

# A script finds modules in its own folder only, and so do its worker processes.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from datasets.files import Folder, match_folders
from eval.text_removal.fid import frechet_inception_distance
from eval.text_removal.scores import PROTOCOL, PairScore, average_scores, score_pair, table_rows
from utils.cli import BOOL, Parser, run
from utils.files import write_json
from utils.image import SUFFIXES
from utils.processes import end_with_parent

Pair = tuple[Path, Path]  # output, label

NOTES = """\
paper   protocol of the published tables: short side resized to 512, identical images excluded,
        error pixels divided by 512 x 512, MSSIM with every scale at full resolution
strict  native size, every image counts (identical ones with 100 dB), error pixels divided by the
        pixels of the image, true multi-scale SSIM (ms_ssim) and SSIM
psnr, 95 %: confidence interval of the mean (bootstrap over images)
mse, mssim, ms_ssim, ssim, peps and pceps are fractions; the published tables show them times 100"""


def main() -> None:
    """Score, print, write; FID comes last, because its weights may be missing."""
    args = build_parser().parse_args()
    if args.num_workers < 0:
        raise ValueError(f"--num_workers is {args.num_workers}, expected 0 or more")
    pairs = match_pairs(args.target_path, args.gt_path, args.target_ending)
    results = evaluate_pairs(pairs, args.num_workers)
    print(format_table(results), flush=True)
    if args.json:
        write_json(args.json, results)
    if args.fid:
        outputs, labels = zip(*pairs, strict=True)
        results["fid"] = frechet_inception_distance(outputs, labels, args.num_workers)
        print(f"\nFID     {results['fid']:.4f}")
        if args.json:
            write_json(args.json, results)


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("--gt_path", type=Path, required=True, help="folder of the labels, images without text")
    add("--target_path", type=Path, required=True, help="folder of the outputs")
    add("--target_ending", default="",
        help="score only outputs named NAME + this, as .removed of predict.py")  # fmt: skip
    add("--json", type=Path, help="also write the results to this file")
    add("--fid", **BOOL, default=False, help="true: add the Fréchet Inception distance")
    add("--num_workers", type=int, default=min(8, os.cpu_count() or 1),
        help="processes that share the images; 0: score in this one")  # fmt: skip
    return parser


def match_pairs(output_folder: Path, label_folder: Path, ending: str = "") -> list[Pair]:
    """Outputs NAME + ending and labels NAME, without regard to suffixes, in natural order.

    Other outputs are ignored. Raises ValueError for a missing or an empty folder, and for a file
    without a partner.
    """
    suffixes = (*SUFFIXES, ".webp")
    outputs = Folder(output_folder, suffixes, ending)
    return list(match_folders(outputs, Folder(label_folder, suffixes)).values())


def evaluate_pairs(pairs: list[Pair], num_workers: int = 0) -> dict[str, Any]:
    """Both sets of averages, equal to the results of `TextRemovalEvaluator`.

    Raises ValueError as `score_pair`, for the first faulty pair.
    """
    scores = _score_pairs(pairs, min(num_workers, len(pairs)))
    return {"protocol": PROTOCOL, "num_images": len(scores)} | average_scores(scores)


def _score_pairs(pairs: list[Pair], num_workers: int) -> list[PairScore]:
    if num_workers <= 1:
        return [score_pair(*pair) for pair in pairs]
    with ProcessPoolExecutor(num_workers, initializer=end_with_parent) as executor:
        return list(executor.map(score_pair, *zip(*pairs, strict=True), chunksize=4))


def format_table(results: dict[str, Any]) -> str:
    """Both sets side by side, with the digits of float32."""
    title = f"text removal: {results['num_images']} images"
    return "\n".join([title, "", *table_rows(results), "", NOTES])


if __name__ == "__main__":
    run(main)
