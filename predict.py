"""Remove, segment or check the text of your own images: `python predict.py --help`."""

import argparse
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from models import TASKS
from upocr.inputs import Input, collect_inputs
from upocr.picture import MAX_PIXELS, Picture, output_suffix, read_pages, write_pictures
from upocr.predictor import COMPOSITES, DIFFERENCE, MIN_AREA, MODES, THRESHOLD, Predictor
from upocr.results import (
    RESULTS,
    TamperingDetection,
    TextRemoval,
    TextSegmentation,
    read_results,
)
from utils.cli import Parser, parse_bool, run
from utils.files import write_json

UPOCR = Predictor  # what users import; `models.UPOCR` is the bare network

# Options that results depend on: with others, finished ones are made again.
OPTIONS = ("weights", "mode", "window", "region", "composite", "threshold", "format", "cutout")
OPTIONS += ("min_area", "dtype")


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    _add_file_options(parser.add_argument_group("files"))
    _add_task_options(parser.add_argument_group("tasks"))
    _add_machine_options(parser.add_argument_group("model and machine"))
    return parser


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line; raises ValueError."""
    args = build_parser().parse_args(arguments)
    if not 0 <= args.threshold <= 1:
        raise ValueError(f"--threshold is {args.threshold}, expected 0 to 1")
    for name in ("batch_size", "max_pixels"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name} is {getattr(args, name)}, expected at least 1")
    if args.num_threads < 0 or args.min_area < 0:
        raise ValueError("--num_threads and --min_area are at least 0")
    return args


def _add_file_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("images", nargs="+", help="files, folders, patterns; - reads names from standard input")
    add("--output_dir", required=True, help="folder for the results")
    add("--recursive", type=parse_bool, default=False, help="look into folders of folders")
    add("--overwrite", type=parse_bool, default=True, help="false: leave finished images alone")
    add(
        "--format",
        choices=("png", "jpg", "webp", "same"),
        default="png",
        help="of pictures without text; jpg changes untouched pixels a little",
    )
    add("--max_pixels", type=int, default=MAX_PIXELS, help="larger images are refused")


def _add_task_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--task", choices=(*TASKS, "all"), default="text_removal", help="what to do")
    add("--mode", choices=MODES, default="tile", help="tile: full size; resize: as in the paper")
    add("--window", type=int, help="side of a window in pixels; default: as the weights say")
    add("--region", help="removal only here: x1,y1,x2,y2 or a mask image of the same size")
    add(
        "--composite",
        choices=COMPOSITES,
        default="segmentation",
        help=f"what counts as changed: segmented text, or a difference above {255 * DIFFERENCE:g}",
    )
    add("--threshold", type=float, default=THRESHOLD, help="above it a pixel is text")
    add("--cutout", type=parse_bool, default=False, help="write the text on a clear ground too")
    add(
        "--min_area",
        type=int,
        default=MIN_AREA,
        help="smaller tampering regions are not listed, pixels",
    )


def _add_machine_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--weights", help="file or URL; default: pretrained/upocr_nano.safetensors")
    add("--device", default="auto", help="auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N, mps")
    add(
        "--dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="auto: float16 on CUDA, float32 elsewhere",
    )
    add("--compile", type=parse_bool, default=False, help="slow start, then faster windows")
    add("--batch_size", type=int, default=4, help="windows at once")
    add("--num_threads", type=int, default=0, help="of the CPU; 0: as torch chooses")


class Job:
    """A run over files: the loaded model, the options, the records of `results.json`.

    Args:
        args: the parsed command line.
        model: see `UPOCR`.
        earlier: the records of earlier runs with this folder of results.
    """

    def __init__(self, args: argparse.Namespace, model: UPOCR, earlier: list[dict]) -> None:
        self.args, self.model = args, model
        self.output_dir = Path(args.output_dir)
        self.region = parse_region(args.region, args.max_pixels) if args.region else None
        self.tasks = TASKS if args.task == "all" else (args.task,)
        self.options = {name: getattr(args, name) for name in OPTIONS}
        self.inputs: set[Path] = set()  # resolved: no result may take the place of one
        self.records = {record["input"]: record for record in earlier}
        self.taken: dict[Path, Path] = {}  # result -> input

    def run(self, inputs: list[Input]) -> int:
        """Work on all files; the number of those that failed, each named on standard error."""
        self.inputs = {found.path.resolve() for found in inputs}
        try:
            for found in tqdm(inputs, desc="images", unit="image"):
                self._keep(self._one(found))
        finally:  # an interrupted run keeps the records of what it finished
            write_json(self.output_dir / RESULTS, list(self.records.values()))
        records = [self.records[str(found.path)] for found in inputs]
        failed = [record["error"] for record in records if "error" in record]
        for error in failed:
            print(f"error: {error}", file=sys.stderr)
        return len(failed)

    def _keep(self, record: dict) -> None:
        """Take a record, and drop those of earlier runs whose results it has replaced."""
        files = result_files(record)
        self.records = {
            name: other for name, other in self.records.items() if not files & result_files(other)
        }
        self.records[record["input"]] = record

    def _one(self, found: Input) -> dict:
        """Record of one file; what is wrong with it is in `error`."""
        earlier = self.records.get(str(found.path))
        if earlier and not self.args.overwrite and self._is_complete(earlier):
            folder = self.output_dir / found.folder
            self.taken |= {folder / page["page"]: found.path for page in earlier["pages"]}
            return earlier
        start = time.perf_counter()
        record: dict = {"input": str(found.path), "tasks": list(self.tasks)}
        record |= {"options": self.options, "pages": []}
        try:
            self._pages(found, record)
        except (ValueError, OSError) as error:
            message = " ".join(str(error).split())
            path = str(found.path)
            record["error"] = message if path in message else f"{path}: {message}"
        record["seconds"] = round(time.perf_counter() - start, 3)
        return self._with_other_tasks(record, earlier)

    def _with_other_tasks(self, record: dict, earlier: dict | None) -> dict:
        """The record, with what an earlier run with the same options has left of other tasks."""
        if earlier is None or not self._is_intact(earlier) or "error" in record:
            return record
        kept = [task for task in earlier["tasks"] if task not in record["tasks"]]
        if not kept or page_sizes(earlier) != page_sizes(record):
            return record
        record["tasks"] = [task for task in TASKS if task in {*kept, *record["tasks"]}]
        for page, old in zip(record["pages"], earlier["pages"], strict=True):
            page |= {task: old[task] for task in kept if task in old}
            page["files"] += [file for file in old["files"] if file not in page["files"]]
        return record

    def _is_complete(self, record: dict) -> bool:
        return self._is_intact(record) and set(self.tasks) <= set(record["tasks"])

    def _is_intact(self, record: dict) -> bool:
        """Whether the options were the same, nothing went wrong, and all files are there."""
        if "error" in record or record.get("options") != self.options:
            return False
        return all((self.output_dir / file).exists() for file in result_files(record))

    def _pages(self, found: Input, record: dict) -> None:
        folder = self.output_dir / found.folder
        removed: list[TextRemoval] = []
        for picture in read_pages(found.path, self.args.max_pixels):
            self._claim(folder / picture.name, found.path)
            self._protect_inputs([folder / name for name in self._files(picture)])
            page, removal = self._page(picture, folder)
            record["pages"].append(page)
            if removal and output_suffix(picture, self.args.format) == "tif":
                removed.append(removal)
        if len(removed) > 1:
            path = folder / f"{found.path.stem}.removed.tif"
            self._protect_inputs([path])
            write_pictures([removal.picture for removal in removed], path)
            record["pages"][0]["files"].append(str(path.relative_to(self.output_dir)))

    def _claim(self, result: Path, path: Path) -> None:
        """Refuse results that another input of this run has, as a page may have."""
        owner = self.taken.setdefault(result, path)
        if owner != path:
            raise ValueError(f"{path}: {owner} has written the results {result}.* already")

    def _files(self, picture: Picture) -> list[str]:
        """Names of all results of one page."""
        files = {
            "text_removal": TextRemoval.files(picture, self.args.format),
            "text_segmentation": TextSegmentation.files(picture, self.args.cutout),
            "tampered_text_detection": TamperingDetection.files(picture),
        }
        return [name for task in self.tasks for name in files[task]]

    def _protect_inputs(self, results: list[Path]) -> None:
        for result in results:
            if result.resolve() in self.inputs:
                raise ValueError(
                    f"{result} is an image of this run and would be overwritten, "
                    "choose another --output_dir"
                )

    def _page(self, picture: Picture, folder: Path) -> tuple[dict, TextRemoval | None]:
        """Results of one page on disk; their record, and the picture without text."""
        height, width = picture.size
        page: dict = {"page": picture.name, "width": width, "height": height}
        if picture.notes:
            page["notes"] = list(picture.notes)
        start = time.perf_counter()
        with self._progress(picture) as bar:
            results = self.model.run(
                picture,
                self.tasks,
                composite=self.args.composite,
                threshold=self.args.threshold,
                region=self.region,
                min_area=self.args.min_area,
                progress=bar.update,
            )
        saved = [path for task in self.tasks for path in self._save(task, results[task], folder)]
        page |= {task: results[task].summary() for task in self.tasks}
        page["seconds"] = round(time.perf_counter() - start, 3)
        page["files"] = [str(path.relative_to(self.output_dir)) for path in saved]
        return page, results.get("text_removal")

    def _progress(self, picture: Picture) -> tqdm:
        total = self.model.num_windows(picture.size)
        return tqdm(total=total, desc=picture.name, unit="window", leave=False, delay=2)

    def _save(self, task: str, result, folder: Path) -> list[Path]:
        if task == "text_removal":
            return result.save(folder, self.args.format)
        if task == "text_segmentation":
            return result.save(folder, self.args.cutout)
        return result.save(folder)


def parse_region(text: str, max_pixels: int) -> np.ndarray | tuple[int, int, int, int]:
    """`x1,y1,x2,y2` -> a box, anything else is the path of a mask -> (H, W) uint8.

    Pixels of the mask that are bright, from 128, and not transparent are the region. Raises
    ValueError.
    """
    numbers = text.split(",")
    if len(numbers) == 4 and not Path(text).exists():
        try:
            return tuple(int(number) for number in numbers)
        except ValueError:
            raise ValueError(f"--region {text}: expected four whole numbers") from None
    if len(numbers) > 1 and not Path(text).exists():
        raise ValueError(f"--region {text}: expected x1,y1,x2,y2 or a mask image")
    picture = next(read_pages(text, max_pixels))
    rgb = picture.rgb()
    half = np.iinfo(rgb.dtype).max // 2
    chosen = rgb.max(axis=2) > half
    if picture.alpha is not None:
        chosen &= picture.alpha > half
    return np.where(chosen, 255, 0).astype(np.uint8)


def earlier_records(folder: Path) -> list[dict]:
    """What earlier runs with this folder of results have found, one record an input."""
    path = folder / RESULTS
    return read_results(path) if path.exists() else []


def page_sizes(record: dict) -> list[tuple]:
    """Name, width and height of every page of one record."""
    return [(page["page"], page.get("width"), page.get("height")) for page in record["pages"]]


def result_files(record: dict) -> set[str]:
    """Files of all pages of one record, relative to the folder of the results."""
    return {file for page in record["pages"] for file in page["files"]}


def load_model(args: argparse.Namespace) -> UPOCR:
    """The model that the command line names."""
    if args.num_threads:
        torch.set_num_threads(args.num_threads)
    return UPOCR.from_pretrained(
        args.weights,
        args.device,
        dtype=args.dtype,
        compile=args.compile,
        window=args.window,
        batch_size=args.batch_size,
        mode=args.mode,
        max_pixels=args.max_pixels,
    )


def _stop_cleanly() -> None:
    """A polite kill ends like any error: temporary files go, records of finished images stay."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def main(arguments: list[str] | None = None) -> int:
    """Run on files; 0 if all went well, 1 if some failed."""
    _stop_cleanly()
    args = parse_args(arguments)
    output_dir = Path(args.output_dir)
    earlier = earlier_records(output_dir)
    results = {(output_dir / file).resolve() for each in earlier for file in result_files(each)}
    inputs = collect_inputs(args.images, args.recursive, sys.stdin, output_dir, results)
    output_dir.mkdir(parents=True, exist_ok=True)
    job = Job(args, load_model(args), earlier)
    return 1 if job.run(inputs) else 0


if __name__ == "__main__":
    run(main)
