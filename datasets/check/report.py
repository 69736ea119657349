"""Report: everything found in a data set, as JSON and as lines for the terminal."""

import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from datasets.check.discovery import Found
from datasets.check.inspection import Report, inspect
from tasks import TAMPERED_TEXT_DETECTION
from utils.processes import map_in_processes
from utils.quote import printable

MAX_LINES = 50  # problems per data set on the terminal; the JSON file has all


def check(found: Found, workers: int = 0, progress: bool = False) -> dict[str, Any]:
    """Read every file of a data set; returns the findings, ready for JSON.

    Keys: `root`, `task`, `problems` (list of [file, message]), and `splits`: for each the number of
    `images`, their `sizes` (smallest and largest width and height), `text` (mean share of the
    pixels) and `classes` (counts).
    """
    reports = _inspect_all(found, workers, progress)
    problems = found.problems + _shared_images(reports)
    problems += [problem for report in reports for problem in report.problems]
    splits: dict[str, list[Report]] = {}
    for report in reports:
        splits.setdefault(report.split, []).append(report)
    return {
        "root": str(found.root),
        "task": found.dataset.task,
        "splits": {split: _summary(part) for split, part in splits.items()},
        "problems": [list(problem) for problem in sorted(set(problems))],
    }


def _inspect_all(found: Found, workers: int, progress: bool) -> list[Report]:
    inspect_sample = functools.partial(inspect, found.dataset)
    bar = functools.partial(
        tqdm,
        total=len(found.samples),
        desc=printable(found.root.name),
        unit="sample",
        disable=not progress,
    )
    return list(bar(map_in_processes(inspect_sample, found.samples, workers, chunksize=8)))


def _shared_images(reports: Sequence[Report]) -> list[tuple[str, str]]:
    """Images with the same pixels in two splits: a test on them would measure memorisation."""
    first: dict[str, Report] = {}
    problems = []
    for report in reports:
        known = first.setdefault(report.digest, report) if report.digest else report
        if known.split != report.split:
            message = f"the same image as {known.image} in {known.split}"
            problems.append((str(report.image), message))
    return problems


def _summary(reports: Sequence[Report]) -> dict[str, Any]:
    sizes = [report.size for report in reports if report.size]
    shares = [report.text for report in reports if report.text is not None]
    classes: Counter[str] = Counter()
    for report in reports:
        classes.update(report.classes)
    return {
        "images": len(reports),
        "sizes": [[bound(side) for side in zip(*sizes, strict=True)] for bound in (min, max)]
        if sizes
        else None,
        "text": sum(shares) / len(shares) if shares else None,
        "classes": dict(classes),
    }


def format_table(results: Sequence[dict[str, Any]]) -> str:
    """The results as a table, one line per data set and split."""
    rows = [("data set", "split", "images", "width x height", "text area", "classes")]
    for result in results:
        for split, summary in result["splits"].items():
            rows.append(
                (printable(result["root"]), printable(split), *_cells(summary, result["task"]))
            )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(max(lines, key=len)), *lines[1:]])


def _cells(summary: dict[str, Any], task: str) -> tuple[str, str, str, str]:
    sizes = "-"
    if summary["sizes"]:
        low, high = (" x ".join(map(str, size)) for size in summary["sizes"])
        sizes = low if low == high else f"{low} to {high}"
    text = "-" if summary["text"] is None else f"{summary['text']:.1%}"
    counts = summary["classes"]
    if task == TAMPERED_TEXT_DETECTION.name:  # boxes
        classes = [f"{name} {count}" for name, count in counts.items()]
    else:  # pixels
        total = sum(counts.values()) or 1
        classes = [f"{name} {count / total:.1%}" for name, count in counts.items()]
    return str(summary["images"]), sizes, text, ", ".join(classes) or "-"


def format_problems(results: Sequence[dict[str, Any]]) -> str:
    """One line `file: message` per problem; the first ones of every data set."""
    lines = []
    for result in results:
        problems = result["problems"]
        lines += [printable(f"{path}: {message}") for path, message in problems[:MAX_LINES]]
        if len(problems) > MAX_LINES:
            lines.append(
                printable(f"{result['root']}: {len(problems) - MAX_LINES} more, see --json")
            )
    return "\n".join(lines)
