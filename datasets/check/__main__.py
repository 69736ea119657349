"""Find faults in data sets before training does: `python -m datasets.check PATH...`."""

import argparse
import os
from pathlib import Path

from datasets.check.discovery import find_datasets
from datasets.check.report import check, format_problems, format_table
from utils.cli import Parser, run
from utils.files import write_json


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(
        prog="python -m datasets.check",
        description="Find faults in data sets: missing, damaged or unsuitable files, labels "
        "outside their format, images in two splits.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("paths", type=Path, nargs="+", metavar="PATH",
        help="folder with data sets, or file of data_configs/")  # fmt: skip
    add("--data_root", type=Path, default=Path("data"), help="parent of the configured roots")
    add("--workers", type=int, default=os.cpu_count() or 1,
        help="processes that read files; 0: read in this one")  # fmt: skip
    add("--json", type=Path, default=None, metavar="FILE", help="also write the results as JSON")
    return parser


def main() -> int:
    """The command; returns 1 if it finds a problem."""
    args = build_parser().parse_args()
    found = find_datasets(args.paths, args.data_root)
    results = [check(dataset, args.workers, progress=True) for dataset in found]
    if args.json:
        write_json(args.json, results)
    print(format_table(results))
    count = sum(len(result["problems"]) for result in results)
    print(f"\n{format_problems(results)}\n{count} problems" if count else "\nno problems")
    return 1 if count else 0


if __name__ == "__main__":
    run(main)
