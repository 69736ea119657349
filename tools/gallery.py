"""Command: one HTML page of photographs that predict.py worked on, and of an evaluation."""

import argparse
import html
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from eval import EVALUATORS
from eval.records import METRICS, figure, read_metrics
from tasks import TASKS
from upocr.picture import read_pages, to_8_bit
from upocr.records import RESULTS_FILE, read_results
from utils.cli import Parser, run
from utils.files import atomic_path
from utils.image import contact_sheet, read_rgb

PHOTOS = "photos.png"
CELL = 384  # pixels
OVERLAY = "_overlay."  # in the name of one file per task
SHEET = "_sheet"  # end of the names of contact sheets
TITLE = "UPOCR: one network for all tasks"
PHOTO_LEGEND = (
    "What predict.py makes of them. Green: text detected as genuine; blue: as tampered; orange: "
    "segmented text."
)
EVAL_LEGEND = (
    "The output of the network alone, as main.py --eval true scores it. Detection: red background, "
    "green genuine text, blue tampered text. Segmentation: white text, black background."
)
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 110rem; padding: 0 1rem }
table { border-collapse: collapse } td, th { padding: .2rem .8rem; border-bottom: 1px solid #ccc }
td { text-align: right } td:first-child, th { text-align: left } img { max-width: 100% }
"""


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--photo_dir", type=Path, help="--output_dir of predict.py --task all")
    add("--eval_dir", type=Path, help="--output_dir of main.py --eval true and of contact sheets")
    add("--output", type=Path, required=True, help="page to write, .html; pictures go beside it")
    return parser


def photo_table(folder: Path) -> tuple[list[str], list[list[np.ndarray]]]:
    """Column titles, and a row per page in `folder/results.json`: input and a picture per task.

    The pictures are uint8 (H, W, 3). Files that failed are omitted. Raises ValueError for a page
    without the tasks of the first one.
    """
    tasks: list[str] = []
    rows = []
    for record in read_results(folder / RESULTS_FILE):
        if "error" in record:
            continue
        sources = read_pages(record["input"], sys.maxsize)  # predict.py has checked the size
        for page, source in zip(record["pages"], sources, strict=False):
            files = task_files(page)
            tasks = tasks or list(files)
            if list(files) != tasks or not files:
                raise ValueError(
                    f"{folder}: {page['page']} lacks a task, run predict.py --task all"
                )
            results = [np.asarray(read_rgb(folder / file)) for file in files.values()]
            rows.append([to_8_bit(source).rgb(), *results])
    if not rows:
        raise ValueError(f"{folder}: no finished image in {RESULTS_FILE}")
    return ["Input", *(TASKS[task].title if task in TASKS else task for task in tasks)], rows


def task_files(page: dict[str, Any]) -> dict[str, str]:
    """Task -> the file to show: its overlay or, for a task without classes, the output itself."""
    tasks = [key for key, summary in page.items() if isinstance(summary, dict)]
    endings = {Path(file).name.removeprefix(page["page"]): file for file in page["files"]}
    overlays = [ending for ending in endings if OVERLAY in ending]  # one per task, in their order
    files = {}
    for task, overlay in zip(tasks, overlays, strict=False):
        output = overlay.partition(OVERLAY)[0] + "."
        is_picture = task in TASKS and not TASKS[task].classes
        pictures = [e for e in endings if e.startswith(output)]  # none of a page of a PDF
        shown = pictures[0] if is_picture and pictures else overlay
        files[task] = endings[shown]
    return files


def figure_rows(metrics: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Name, images and `TITLE value` of the figures per data set, in the order of `TASKS`."""
    order = [*TASKS, *(record["task"] for record in metrics.values())]
    rows = []
    for name, record in sorted(metrics.items(), key=lambda item: order.index(item[1]["task"])):
        task = record["task"]
        headline = EVALUATORS[task].headline() if task in EVALUATORS else {}
        cells = [f"{title} {_rounded(figure(record, keys))}" for title, keys in headline.items()]
        rows.append([name, str(record["num_images"]), *cells])
    return rows


def _rounded(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def page_of(parts: list[str]) -> str:
    """The HTML document."""
    head = f'<meta charset="utf-8"><title>{TITLE}</title><style>{STYLE}</style>'
    return "\n".join(["<!doctype html>", head, f"<h1>{TITLE}</h1>", *parts]) + "\n"


def _table(rows: list[list[str]]) -> str:
    lines = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
    figures = max(map(len, rows), default=3) - 2
    head = f'<th>data set</th><th>images</th><th colspan="{figures}">figures</th>'
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _picture(path: Path, page: Path, name: str) -> str:
    link = html.escape(Path(os.path.relpath(path, page.parent)).as_posix())
    return f'<img src="{link}" alt="{html.escape(name)}">'


def _sheets(folder: Path, names: list[str], page: Path) -> list[str]:
    """A heading and a contact sheet for each of the data sets `names` that has one."""
    paths = {name: folder / f"{name}{SHEET}.png" for name in names}
    return [
        f"<h3>{html.escape(name)}</h3>{_picture(path, page, name)}"
        for name, path in paths.items()
        if path.exists()
    ]


def main() -> None:
    """Draw, write, print the path."""
    args = build_parser().parse_args()
    if not (args.photo_dir or args.eval_dir):
        raise ValueError("nothing to show: give --photo_dir, --eval_dir or both")
    parts: list[str] = []
    if args.photo_dir:
        sheet = args.output.parent / PHOTOS
        titles, pictures = photo_table(args.photo_dir)
        contact_sheet(pictures, sheet, titles, CELL)
        parts += ["<h2>Photographs</h2>", f"<p>{PHOTO_LEGEND}</p>"]
        parts += [_picture(sheet, args.output, "photographs and results")]
    if args.eval_dir:
        rows = figure_rows(read_metrics(args.eval_dir / METRICS))
        print("\n".join("  ".join(row) for row in rows))
        parts += ["<h2>Evaluation</h2>", f"<p>{EVAL_LEGEND}</p>", _table(rows)]
        parts += _sheets(args.eval_dir, [row[0] for row in rows], args.output)
    with atomic_path(args.output) as temporary:
        temporary.write_text(page_of(parts), encoding="utf-8")
    print(f"gallery: {args.output}")


if __name__ == "__main__":
    run(main)
