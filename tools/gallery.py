"""Command: one page to look at, of photographs that predict.py worked on and of an evaluation."""

import argparse
import html
import os
import sys
from pathlib import Path

import numpy as np

from eval.records import METRICS, figure, read_metrics
from tasks import TASKS
from upocr.picture import read_pages, to_8_bit
from upocr.records import RESULTS_FILE, read_results
from utils.cli import Parser, run
from utils.files import atomic_path
from utils.image import contact_sheet, read_rgb

PHOTOS = "photos.png"
COLUMNS = ("photograph", "text removed", "letters", "genuine, tampered")
# Ending of the result of each task that is looked at, beside any picture format.
ENDINGS = (".removed.", ".mask_overlay.", ".classes_overlay.")
CELL = 384  # pixels
# Figures of a data set that stand in the table, by task: keys into its record of metrics.json.
FIGURES = {
    "text_removal": {"PSNR of the whole output": "strict/psnr", "paper's PSNR": "paper/psnr"},
    "tampered_text_detection": {
        "IoU genuine": "iou_genuine",
        "IoU tampered": "iou_tampered",
        "mean IoU": "mean_iou",
    },
    "text_segmentation": {"fgIoU": "fg_iou", "F": "f_score"},
}
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
    add(
        "--output",
        type=Path,
        required=True,
        help="the page to write, .html, and pictures beside it",
    )
    return parser


def photo_rows(folder: Path) -> list[list[np.ndarray]]:
    """Input and the three results of every page in `folder/results.json`, uint8 (H, W, 3) each.

    Files that failed are left out. Raises ValueError where a task was not done.
    """
    rows = []
    for record in read_results(folder / RESULTS_FILE):
        if "error" in record:
            continue
        pictures = read_pages(record["input"], sys.maxsize)  # predict.py has checked the size
        for page, picture in zip(record["pages"], pictures, strict=False):
            found = [next((f for f in page["files"] if end in f), None) for end in ENDINGS]
            if None in found:
                raise ValueError(
                    f"{folder}: {page['page']} lacks a task, run predict.py --task all"
                )
            results = [np.asarray(read_rgb(folder / file)) for file in found]
            rows.append([to_8_bit(picture).rgb(), *results])
    if not rows:
        raise ValueError(f"{folder}: no finished picture in {RESULTS_FILE}")
    return rows


def figure_rows(metrics: dict[str, dict]) -> list[list[str]]:
    """Data set, images and `NAME value` of its figures, a row a data set, in the order of TASKS."""
    rows = []
    for name, record in sorted(
        metrics.items(), key=lambda item: list(TASKS).index(item[1]["task"])
    ):
        figures = FIGURES[record["task"]].items()
        cells = [f"{title} {_rounded(figure(record, keys))}" for title, keys in figures]
        rows.append([name, str(record["num_images"]), *cells])
    return rows


def _rounded(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def page_of(parts: list[str]) -> str:
    """The HTML document."""
    title = "UPOCR: one network, three tasks"
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return "\n".join(["<!doctype html>", head, f"<h1>{title}</h1>", *parts]) + "\n"


def _table(rows: list[list[str]]) -> str:
    lines = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
    head = "<th>data set</th><th>images</th>"
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _picture(path: Path, page: Path) -> str:
    link = html.escape(Path(os.path.relpath(path, page.parent)).as_posix())
    name = html.escape(path.stem)
    return f'<h3>{name}</h3><img src="{link}" alt="{name}">'


def main() -> None:
    """Draw, write, say where."""
    args = build_parser().parse_args()
    if not (args.photo_dir or args.eval_dir):
        raise ValueError("nothing to show: give --photo_dir, --eval_dir or both")
    parts: list[str] = []
    if args.photo_dir:
        sheet = args.output.parent / PHOTOS
        contact_sheet(photo_rows(args.photo_dir), sheet, COLUMNS, CELL)
        parts += ["<h2>Photographs</h2>", _picture(sheet, args.output)]
    if args.eval_dir:
        rows = figure_rows(read_metrics(args.eval_dir / METRICS))
        print("\n".join("  ".join(row) for row in rows))
        sheets = sorted(args.eval_dir.glob("*_sheet.png"))
        parts += ["<h2>Evaluation</h2>", _table(rows)]
        parts += [_picture(path, args.output) for path in sheets]
    with atomic_path(args.output) as temporary:
        temporary.write_text(page_of(parts), encoding="utf-8")
    print(f"gallery: {args.output}")


if __name__ == "__main__":
    run(main)
