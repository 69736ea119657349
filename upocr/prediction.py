"""Remove, segment or check the text of your own images."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from upocr.backends.choice import AUTO, BACKENDS
from upocr.cli import BOOL, HelpFormatter, Parser, positive_int, say
from upocr.composite import COMPOSITES, DIFFERENCE, DILATION, MAX_DILATION, parse_region
from upocr.decisions import COMPONENT, DECISIONS
from upocr.download import DOWNLOADS, Downloads
from upocr.files import checksum
from upocr.inputs import collect_inputs, describe_others
from upocr.job import Job
from upocr.launch import Launch
from upocr.ledger import recover
from upocr.lock import locked
from upocr.pdf import DPI
from upocr.picture import MAX_PIXELS
from upocr.plan import make_plan
from upocr.predictor import MODES, UPOCR
from upocr.records import RESULTS_FILE, Records
from upocr.results import MIN_AREA
from upocr.run import follow, lead
from upocr.tasks import TASKS, load_module
from upocr.workload import MAX_WINDOWS, Workload

# What results depend on: a file done with other settings is not finished.
SETTINGS = (
    *("mode", "window", "composite", "threshold", "format", "cutout"),
    *("min_area", "dtype", "decision", "dilation", "dpi"),
)


def build_parser() -> argparse.ArgumentParser:
    """Options of `upocr run` and `predict.py`."""
    parser = Parser(description=__doc__, formatter_class=HelpFormatter)
    add_arguments(parser)
    return parser


def add_arguments(parser: argparse.ArgumentParser, task: str | None = None) -> None:
    """Add all options; `task` fixes the task, and `--task` is gone."""
    add = parser.add_argument_group("files").add_argument
    add("images", nargs="+", help="files, folders, patterns; - reads names from standard input")
    add("--output_dir", default=Path("out"), type=Path, help="folder of the results")
    add("--recursive", **BOOL, default=False, help="include the folders below a folder")
    add("--overwrite", **BOOL, default=True, help="false skips finished images")
    formats, lossy = ("png", "jpg", "webp", "same"), "jpg changes untouched pixels slightly"
    add("--format", choices=formats, default="png", help=f"of pictures without text; {lossy}")
    add("--max_pixels", type=positive_int, default=MAX_PIXELS, help="larger images are refused")
    many = "files that need more windows of the network, all pages together, are refused"
    add("--max_windows", type=positive_int, default=MAX_WINDOWS, help=many)
    add("--dpi", type=positive_int, default=DPI, help="pixels per inch of the pages of a PDF")
    waiting = "seconds that several processes wait for each other at the start"
    add("--join_timeout", type=positive_int, default=300, help=waiting)

    add = parser.add_argument_group("tasks").add_argument
    if task is None:
        add("--task", default="text_removal", help=f"{', '.join(TASKS)}, a further task, or all")
    else:
        parser.set_defaults(task=task)
    add("--task_module", help="Python module that registers further tasks")
    add("--mode", choices=MODES, default="tile", help="tile: full size; resize: as in the paper")
    add("--window", type=int, help="side of a window in pixels; by default that of the weights")
    add("--region", help="erase text only here: x1,y1,x2,y2 or a mask image of the same size")
    segmented = "segmented text (the default if the model has that task)"
    different = f"pixels that the network changes by more than {255 * DIFFERENCE:g}"
    add("--composite", choices=COMPOSITES, help=f"erase {segmented} or {different}")
    by = "component: words and strokes, on which the tasks must agree; pixel: as classified"
    add("--decision", choices=DECISIONS, default=COMPONENT, help=by)
    reach = "pixels around text that text removal replaces, and one more for the soft edge"
    add("--dilation", type=int, default=DILATION, help=reach)
    add("--threshold", type=float, help="of text pixels, 0-1; by default that of the task")
    add("--cutout", **BOOL, default=False, help="also write text on a transparent background")
    add("--min_area", type=int, default=MIN_AREA, help="pixels of the smallest region or word")
    add_model_arguments(parser)


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name weights and machine."""
    add = parser.add_argument_group("model and machine").add_argument
    add("--weights", help="file or https URL; by default the shipped upocr_nano")
    add("--download_timeout", type=float, default=DOWNLOADS.timeout,
        help="seconds that the server of a URL may be silent")  # fmt: skip
    add("--allow_http", **BOOL, default=False, help="fetch URLs without encryption, too")
    fastest = "auto: the fastest that is there and runs the weights"
    add("--backend", choices=BACKENDS, default=AUTO, help=fastest)
    add("--device", default="auto", help="auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N, mps")
    dtypes = ("auto", "float32", "bfloat16", "float16")
    add("--dtype", choices=dtypes, default="auto", help="auto: float16 on CUDA, else float32")
    add("--compile", **BOOL, default=False, help="slower start, then faster windows")
    add("--batch_size", type=positive_int, default=4, help="windows per step")
    add("--num_threads", type=int, default=0, help="of the CPU; 0 for the back end's choice")


def load_model(args: argparse.Namespace, **options: Any) -> UPOCR:
    """The model that the values of `add_model_arguments` name; further `options` as of `UPOCR`.

    Raises ValueError as `UPOCR.from_pretrained`.
    """
    return UPOCR.from_pretrained(
        args.weights,
        args.device,
        backend=args.backend,
        dtype=args.dtype,
        compile=args.compile,
        num_threads=args.num_threads,
        batch_size=args.batch_size,
        downloads=Downloads(args.download_timeout, args.allow_http),
        **options,
    )


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line; raises ValueError."""
    args = build_parser().parse_args(arguments)
    check(args)
    return args


def check(args: argparse.Namespace) -> None:
    """Raise ValueError for arguments that do not fit; load `--task_module`."""
    if args.threshold is not None and not 0 <= args.threshold <= 1:
        raise ValueError(f"--threshold is {args.threshold}, expected 0 to 1")
    if min(args.num_threads, args.min_area) < 0:
        raise ValueError("--num_threads and --min_area are at least 0")
    if not 0 <= args.dilation <= MAX_DILATION:
        raise ValueError(f"--dilation is {args.dilation}, expected 0 to {MAX_DILATION}")
    if args.task_module:
        load_module(args.task_module)
    if args.task != "all":
        TASKS[args.task]


def build_job(args: argparse.Namespace, launch: Launch) -> Job:
    """Load the model and set up what it does with every file; raises ValueError."""
    region = parse_region(args.region, args.max_pixels) if args.region else None
    args.num_threads = launch.num_threads(args.num_threads)
    model = load_model(args, window=args.window, mode=args.mode, max_pixels=args.max_pixels)
    tasks, composite = model.resolve(None if args.task == "all" else [args.task], args.composite)
    run_options = {
        "composite": composite,
        "threshold": args.threshold,
        "region": region,
        "dilation": args.dilation,
        "decision": args.decision,
        "min_area": args.min_area,
    }
    save_options = {"format": args.format, "cutout": args.cutout}
    settings = {"weights": model.backend.checksum, "region": _content(args.region)}
    settings |= {name: getattr(args, name) for name in SETTINGS}
    return Job(
        model,
        tasks,
        run_options,
        save_options,
        args.output_dir,
        Workload(model, tasks, run_options, args.max_windows, args.dpi),
        settings,
        args.overwrite,
        has_bars=launch.rank == 0,
    )


def _content(region: str | None) -> str | None:
    """A region as it is recorded: of a mask its checksum."""
    return checksum(Path(region)) if region and Path(region).is_file() else region


def main(arguments: list[str] | None = None) -> int:
    """Run on files; 0 if all went well, 1 if some failed."""
    return predict(parse_args(arguments))


def predict(args: argparse.Namespace) -> int:
    """Run on files; 0 if all went well, 1 if some failed."""
    # A polite kill ends like an error: no temporary files, records of finished images kept.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    launch = Launch.from_environment(args.join_timeout, os.environ)
    return _report(args, launch) if launch.rank == 0 else _help(args, launch)


def _help(args: argparse.Namespace, launch: Launch) -> int:
    """Do a share of the work that process 0 hands out, and leave the report to it."""
    job = build_job(args, launch)
    plan = launch.join(args.output_dir, job.settings)
    records = Records(args.output_dir)
    follow(job, plan, records, launch)
    return 0


def _report(args: argparse.Namespace, launch: Launch) -> int:
    """Hand out the work, do a share of it, and put everything on record."""
    with locked(args.output_dir):
        records = recover(args.output_dir)
        found = collect_inputs(
            args.images, args.recursive, _lines(), args.output_dir, records.files()
        )
        inputs = found.inputs
        job = build_job(args, launch)
        plan = make_plan(args.output_dir, inputs, launch.size)
        launch.publish(args.output_dir, plan, job.settings)
        errors = lead(job, plan, records, launch)
    for error in errors:
        say(f"error: {error}", error=True)
    done = f"{len(inputs) - len(errors)} of {len(inputs)} images done"
    say(f"{done}, listed in {args.output_dir / RESULTS_FILE}")
    if found.others:
        say(describe_others(found.others))
    return 1 if errors else 0


def _lines() -> Iterable[str]:
    """Standard input, whatever bytes the names consist of."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    return sys.stdin
