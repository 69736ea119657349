"""Pictures per second of `predict.py` in one process and in several: `benchmarks.throughput`."""

import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.large_image import make_image
from benchmarks.measure import in_fresh_process, median, print_machine, report, write_json
from tasks import OFFICIAL_TASKS
from upocr.inputs import Input
from upocr.launch import Launch, num_cores
from upocr.picture import as_picture
from upocr.plan import make_plan
from upocr.prediction import build_job, parse_args
from upocr.records import Records
from upocr.run import follow, lead
from utils.cli import Parser, positive_int, run


def make_folder(folder: Path, side: int, count: int) -> list[Path]:
    """JPEG files of a page of text, `side` pixels wide and high."""
    folder.mkdir()
    paths = [folder / f"{number:05}.jpg" for number in range(count)]
    make_image(paths[0], side, side)
    for path in paths[1:]:
        path.write_bytes(paths[0].read_bytes())
    return paths


def _work(rank: int, size: int, arguments: list[str], paths: list[Path]) -> float:
    """Do the share of one process; seconds of process 0 from when all have loaded the model."""
    args = parse_args(arguments)
    launch = Launch(rank, size, size)
    job = build_job(args, launch)
    if rank:
        plan = launch.join(args.output_dir, job.settings)
        follow(job, plan, Records(args.output_dir), launch)
        return 0
    plan = make_plan(args.output_dir, [Input(path) for path in paths], size)
    launch.publish(args.output_dir, plan, job.settings)
    start = time.perf_counter()
    errors = lead(job, plan, Records(args.output_dir), launch)
    if errors:
        raise ValueError(errors[0])
    return time.perf_counter() - start


def seconds_together(processes: int, arguments: list[str], paths: list[Path]) -> float:
    """Seconds that several processes take for some files, without loading the model."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as executor:
        shares = [
            executor.submit(_work, rank, processes, arguments, paths) for rank in range(processes)
        ]
        return max(share.result() for share in shares)


def seconds_by_step(arguments: list[str], path: Path, repeats: int) -> dict[str, float]:
    """Seconds of reading a picture, of the network and of writing, one after another."""
    args = parse_args(arguments)
    job = build_job(args, Launch())
    times: dict[str, list[float]] = {"read, s": [], "network, s": [], "write, s": []}
    for _ in range(1 + repeats):
        start = time.perf_counter()
        picture = as_picture(path)
        read = time.perf_counter()
        results = job.model.run(picture, job.tasks, **job.run_options)
        worked = time.perf_counter()
        for result in results.values():
            result.save(args.output_dir, **job.save_options)
        steps = (read - start, worked - read, time.perf_counter() - worked)
        for seconds, found in zip(steps, times.values(), strict=True):
            found.append(seconds)
    return {name: median(found[1:]) for name, found in times.items()}


def measure(side: int, args: Any) -> list[dict[str, Any]]:
    """A row per number of processes."""
    rows = []
    for processes in args.processes:
        threads = args.num_threads or max(1, num_cores() // processes)
        with tempfile.TemporaryDirectory() as name:
            folder, out = Path(name) / "in", Path(name) / "out"
            paths = make_folder(folder, side, args.images * processes)
            given = {"--task": args.task, "--output_dir": out, "--num_threads": threads}
            given |= {"--weights": args.weights} if args.weights else {}
            options = [str(part) for item in given.items() for part in item]
            arguments = [str(folder), "--device", "cpu", "--backend", args.backend, *options]
            steps = in_fresh_process(seconds_by_step, arguments, paths[0], args.repeats)
            seconds = seconds_together(processes, arguments, paths)
        rate = len(paths) / seconds
        row = {"processes": processes, "threads each": threads, "pictures per s": rate}
        row |= {"per s and core": rate / (processes * threads)}
        rows.append(row | {"s per picture": processes / rate, **steps})
    return rows


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.throughput", description=__doc__)
    add = parser.add_argument
    add("--sides", nargs="+", type=positive_int, default=[512, 2000], help="of pictures, in pixels")
    add("--processes", nargs="+", type=positive_int, default=[1, num_cores()])
    add("--num_threads", type=int, default=0, help="per process; 0 divides the cores by processes")
    add("--images", type=positive_int, default=8, help="pictures per process")
    add("--task", choices=(*OFFICIAL_TASKS, "all"), default="text_removal")
    add("--weights", help="default: the shipped ones")
    add("--backend", default="auto")
    add("--repeats", type=positive_int, default=3, help="timed pictures of the single steps")
    add("--json", type=Path, help="write the figures to this file")
    return parser


def main() -> None:
    """The command."""
    args = build_parser().parse_args()
    rates = print_machine()
    reports = [
        report(f"{side} x {side}, {args.task}", measure(side, args), {"side": side})
        for side in args.sides
    ]
    print("\nthe steps: one picture alone, one step after another")
    write_json(args.json, rates, reports)


if __name__ == "__main__":
    run(main)
