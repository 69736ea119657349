"""Check data sets before a training run does: `python -m datasets.check.check`."""

import argparse
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from datasets.check.discovery import Found, find_datasets, merged
from datasets.check.inspection import Report, inspect
from utils.cli import Parser, run
from utils.files import write_json

_SHOWN = 50  # problems per data set; all of them are in the JSON file

Problem = tuple[str, str]  # file, what is wrong with it


def check(found: Found, workers: int = 0, progress: bool = False) -> dict:
    """Read every file of a data set; returns what was found, ready for JSON.

    Keys: `root`, `kind`, `problems` (list of [file, message]), and `splits`: for each its number of
    `images`, the `sizes` (smallest and largest width and height), `text` (mean share of the pixels)
    and `classes` (counts).
    """
    reports = _inspect_all(found, workers, progress)
    problems = list(found.problems) + _shared_images(reports)
    for report in reports:
        problems += report.problems
    splits = list(dict.fromkeys(report.split for report in reports))
    return {
        "root": str(found.root),
        "kind": found.kind,
        "splits": {split: _summary([r for r in reports if r.split == split]) for split in splits},
        "problems": [list(problem) for problem in sorted(set(problems))],
    }


def _inspect_all(found: Found, workers: int, progress: bool) -> list[Report]:
    bar = tqdm(
        total=len(found.entries),
        desc=found.root.name,
        unit="sample",
        disable=not progress,
        file=sys.stderr,
    )
    reports = []
    with bar:
        if workers == 0:
            for entry in found.entries:
                reports.append(inspect(entry))
                bar.update()
            return reports
        with multiprocessing.Pool(workers) as pool:
            for report in pool.imap(inspect, found.entries, chunksize=8):
                reports.append(report)
                bar.update()
    return reports


def _shared_images(reports: Sequence[Report]) -> list[Problem]:
    """Images whose pixels are in two splits: a test on them would measure memory."""
    first: dict[str, Report] = {}
    problems = []
    for report in reports:
        known = first.setdefault(report.digest, report) if report.digest else report
        if known.split != report.split:
            message = f"the same image as {known.image} in {known.split}"
            problems.append((str(report.image), message))
    return problems


def _summary(reports: Sequence[Report]) -> dict:
    sizes = [report.size for report in reports if report.size]
    shares = [report.text for report in reports if report.text is not None]
    classes: Counter[str] = Counter()
    for report in reports:
        classes.update(report.classes)
    return {
        "images": len(reports),
        "sizes": [
            list(map(min, zip(*sizes, strict=True))),
            list(map(max, zip(*sizes, strict=True))),
        ]
        if sizes
        else None,
        "text": sum(shares) / len(shares) if shares else None,
        "classes": dict(classes),
    }


def format_table(results: Sequence[dict]) -> str:
    """The results as a table, one line per data set and split."""
    header = ("data set", "split", "images", "width x height", "text area", "classes")
    rows = [header]
    for result in results:
        for split, summary in result["splits"].items():
            rows.append((result["root"], split, *_cells(summary, result["kind"])))
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(max(lines, key=len)), *lines[1:]])


def _cells(summary: dict, kind: str) -> tuple[str, str, str, str]:
    sizes = "-"
    if summary["sizes"]:
        low, high = (" x ".join(map(str, size)) for size in summary["sizes"])
        sizes = low if low == high else f"{low} to {high}"
    text = "-" if summary["text"] is None else f"{summary['text']:.1%}"
    total = sum(summary["classes"].values()) or 1
    shares = [
        f"{name} {count}" if kind == "detection" else f"{name} {count / total:.1%}"
        for name, count in summary["classes"].items()
    ]
    return str(summary["images"]), sizes, text, ", ".join(shares) or "-"


def format_problems(results: Sequence[dict]) -> str:
    """One line per problem, `file: what is wrong`; the first ones of every data set."""
    lines = []
    for result in results:
        problems = result["problems"]
        lines += [f"{path}: {message}" for path, message in problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            lines.append(f"{result['root']}: {len(problems) - _SHOWN} more problems, see --json")
    return "\n".join(lines)


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(
        prog="python -m datasets.check.check",
        description="Find what is wrong with data sets: missing, damaged or unfit files, labels "
        "outside their format, images in two splits.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("paths", type=Path, nargs="+", metavar="DIR_OR_CONFIG",
        help="folders with data sets in them, or files of data_configs/")  # fmt: skip
    add(
        "--data_root", type=Path, default=Path("data"), help="where the roots of configurations are"
    )
    add(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        help="processes; 0: none besides this one",
    )
    add("--json", type=Path, default=None, metavar="FILE", help="write the results as JSON")
    return parser


def main() -> int:
    """The command; returns 1 if something is wrong with the data."""
    options = build_parser().parse_args()
    found = merged(
        dataset for path in options.paths for dataset in find_datasets(path, options.data_root)
    )
    results = [check(dataset, options.workers, progress=True) for dataset in found]
    if options.json:
        write_json(options.json, results)
    print(format_table(results))
    count = sum(len(result["problems"]) for result in results)
    print(f"\n{format_problems(results)}\n{count} problems" if count else "\nno problems")
    return 1 if count else 0


if __name__ == "__main__":
    run(main)
