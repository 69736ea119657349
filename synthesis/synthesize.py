"""Synthesize a data set for all three tasks: `python -m synthesis.synthesize`."""

import argparse
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synthesis.photo.backgrounds import find_photographs, split_photographs
from synthesis.preview import write_preview
from synthesis.records import Record
from synthesis.replacing import replacing
from synthesis.samples import SampleSource
from synthesis.scene.scans import split_scans
from synthesis.text.fonts import FontBook, load_faces
from synthesis.text.lettering import MAX_CONTRAST
from synthesis.writer import DatasetWriter
from utils.cli import BOOL, Parser, run, say

MIN_SIZE = 128  # pixels; the largest words would not fit into less
PREVIEW, PREVIEW_SAMPLES = "preview.png", 8


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(
        prog="python -m synthesis.synthesize",
        description="Write photographs with synthetic text and exact labels in the layouts of "
        "SCUT-EnsText, TextSeg and Tampered-IC13.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    folders: dict[str, Any] = {"type": Path, "nargs": "+", "default": [], "metavar": "DIR"}
    add("--output_dir", type=Path, default=Path("data/synthetic"), help="folder to write to")
    add("--num_train", type=int, default=2000, help="training samples, one image per task each")
    add("--num_test", type=int, default=200, help="test samples")
    add("--backgrounds", **folders, help="folders of photographs; default: scikit-image's")
    add("--test_backgrounds", **folders,
        help="the same for the test split; default: every fourth of the others")  # fmt: skip
    add("--fonts", **folders, help="folders of fonts; default: the system's")
    add("--size", type=int, default=512, help="side of the images in pixels")
    add("--seed", type=int, default=0, help="the same seed gives the same bytes")
    add("--workers", type=int, default=os.cpu_count() or 1,
        help="processes besides this one, which works alone with 0")  # fmt: skip
    add("--avoid_text", **BOOL, default=True,
        help="avoid crops of photographs that seem to contain text")  # fmt: skip
    share: dict[str, Any] = {"type": float, "metavar": "SHARE", "default": 0.0}
    add("--text_free", **share | {"default": SampleSource.text_free},
        help="share of scenes without text")  # fmt: skip
    add("--pages", **share, help="share of the other scenes that are a printed page")
    add("--distractors", **share,
        help="share of scenes except pages that show railings, branches, tiles")  # fmt: skip
    add("--untampered", **share | {"default": SampleSource.untampered},
        help="share of the photographs for tampered text detection without a forgery")  # fmt: skip
    add("--postprocessed", **share,
        help="share of images that are denoised, sharpened, drawn")  # fmt: skip
    add("--min_contrast", type=float, default=SampleSource.min_contrast, metavar="LEVELS",
        help="minimum contrast of text in grey levels; 60 makes easy images")  # fmt: skip
    add("--scans", **folders,
        help="folders of real documents, a .txt file of lines x1,y1,x2,y2,word beside each, "
        "for tampered text detection")  # fmt: skip
    add("--scan_share", **share | {"default": SampleSource.scan_share},
        help="share of its images that show a scan, if there are any")  # fmt: skip
    add("--held_out", nargs="+", default=[], metavar="PATTERN",
        help="file names of scans for the test split, which otherwise shows none")  # fmt: skip
    add("--preview", action="store_true",
        help=f"write {PREVIEW} with the labels of {PREVIEW_SAMPLES} samples")  # fmt: skip
    add("--overwrite", **BOOL, default=False,
        help="replace a synthetic data set in the folder")  # fmt: skip
    return parser


def parse() -> argparse.Namespace:
    """Options of this run. Raises ValueError if one is out of range."""
    args = build_parser().parse_args()
    for name in ("num_train", "num_test", "seed", "workers"):
        if getattr(args, name) < 0:
            raise ValueError(f"--{name} {getattr(args, name)} is negative")
    for name in ("text_free", "pages", "distractors", "untampered", "postprocessed", "scan_share"):
        if not 0 <= getattr(args, name) <= 1:
            raise ValueError(f"--{name} {getattr(args, name)} is not a share from 0 to 1")
    if not 0 < args.min_contrast <= MAX_CONTRAST:
        raise ValueError(
            f"--min_contrast {args.min_contrast} is out of range, expected up to {MAX_CONTRAST:g}"
        )
    if args.num_train + args.num_test == 0:
        raise ValueError("--num_train and --num_test are both 0: nothing to do")
    if args.size < MIN_SIZE:
        raise ValueError(f"--size {args.size} is too small, expected at least {MIN_SIZE}")
    return args


def main() -> None:
    """The command."""
    args = parse()
    started = time.monotonic()
    fonts, photographs = FontBook(load_faces(args.fonts)), find_photographs(args.backgrounds)
    splits = split_photographs(photographs)
    if args.test_backgrounds:
        splits = {"train": photographs, "test": find_photographs(args.test_backgrounds)}
    scans = split_scans(args.scans, args.held_out)
    count, scripts = len(set().union(*splits.values())), ", ".join(fonts.scripts)
    print(f"{count} photographs, {len(fonts.faces)} fonts for {scripts}", flush=True)
    shares = (args.text_free, args.pages, args.distractors, args.untampered, args.postprocessed)
    sources = {
        split: SampleSource(
            paths,
            fonts,
            args.size,
            args.avoid_text,
            *shares,
            min_contrast=args.min_contrast,
            scans=scans[split],
            scan_share=args.scan_share,
        )
        for split, paths in splits.items()
    }
    counts = {"train": args.num_train, "test": args.num_test}
    with replacing(args.output_dir, args.overwrite) as folder:
        records = DatasetWriter(folder, sources, args.seed).write(counts, args.workers)
        if args.preview:
            split = "train" if args.num_train else "test"
            write_preview(folder, split, min(PREVIEW_SAMPLES, counts[split]), folder / PREVIEW)
    say(f"{args.output_dir}: {args.num_train} training and {args.num_test} test samples per task")
    _summarize(records, time.monotonic() - started)
    if args.preview:
        say(f"preview: {args.output_dir / PREVIEW}")


def _summarize(records: Sequence[Record], seconds: float) -> None:
    words = sum(len(record["words"]) for record in records)
    forgeries = [forgery["kind"] for record in records for forgery in record.get("forgeries", ())]
    kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(Counter(forgeries).items()))
    print(f"{words} words, {len(forgeries)} forgeries ({kinds or 'none'})")
    print(f"{seconds:.1f} s: {len(records) / seconds:.1f} images/s")


if __name__ == "__main__":
    run(main)
