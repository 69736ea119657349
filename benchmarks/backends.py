"""Difference, time, memory and file size of every back end: `python -m benchmarks.backends`."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measure import (
    in_fresh_process,
    interleave,
    median,
    peak_gib,
    print_machine,
    report,
    write_json,
)
from models import VARIANTS, build_upocr
from models.checkpoint import save_atomically
from tasks import OFFICIAL_TASKS
from tools.export import SUFFIXES, export
from tools.graphs import real_pictures
from upocr.backends.choice import FASTEST, OPENVINO, TORCH, is_available, load_backend
from utils.cli import Parser, positive_int, run

# Row -> back end and format of its file.
KINDS = {
    "torch": (TORCH, "safetensors"),
    "onnxruntime": ("onnxruntime", "onnx"),
    "openvino, of ONNX": (OPENVINO, "onnx"),
    "openvino": (OPENVINO, "openvino"),
}


def make_weights(variant: str, folder: Path) -> Path:
    """A checkpoint: the shipped weights of nano, random ones of other variants."""
    if variant == "upocr_nano":
        return Path(__file__).resolve().parents[1] / "pretrained" / "upocr_nano.safetensors"
    torch.manual_seed(0)
    model = build_upocr(variant, scratch_init=True)
    path = folder / "random.pth"
    content = {"model": model.state_dict(), "architecture": model.architecture}
    save_atomically(content, [path])
    return path


def make_files(variant: str, dtype: str, folder: Path) -> dict[str, Path]:
    """The weights in the format of every back end that is there."""
    found: dict[str, Path] = {}
    for backend, format in KINDS.values():
        if is_available(backend) and format not in found:
            path = folder / f"{variant}{SUFFIXES[format]}"
            export([make_weights(variant, folder)], path, dtype, format=format)
            found[format] = path
    return found


def _peak_and_load(backend: str, path: Path, side: int, num_threads: int) -> tuple[float, float]:
    """Peak GiB of loading and predicting all tasks, and seconds of loading, in this process."""
    images = np.full((1, 3, side, side), 0.5, np.float32)
    start = time.perf_counter()
    model = load_backend(backend, path, "cpu", num_threads=num_threads)
    seconds = time.perf_counter() - start
    model.predict(images, OFFICIAL_TASKS)
    return peak_gib(), seconds


def compare(variant: str, dtype: str, side: int, repeats: int, num_threads: int) -> dict[str, Any]:
    """One row per back end; their calls take turns."""
    images = real_pictures(side, side)[:1]
    with tempfile.TemporaryDirectory() as name:
        files = make_files(variant, dtype, Path(name))
        kinds = {kind: pair for kind, pair in KINDS.items() if is_available(pair[0])}
        models = {
            kind: load_backend(backend, files[format], "cpu", num_threads=num_threads)
            for kind, (backend, format) in kinds.items()
        }
        expected = models["torch"].predict(images, OFFICIAL_TASKS)
        calls = {
            (kind, count): lambda model=model, count=count: model.predict(
                images, OFFICIAL_TASKS[:count]
            )
            for kind, model in models.items()
            for count in (1, len(OFFICIAL_TASKS))
        }
        seconds = interleave(calls, repeats, warmup=2)
        rows = []
        for kind, (backend, format) in kinds.items():
            found = models[kind].predict(images, OFFICIAL_TASKS)
            one, three = (median(seconds[kind, count]) for count in (1, len(OFFICIAL_TASKS)))
            peak, load = in_fresh_process(_peak_and_load, backend, files[format], side, num_threads)
            rows.append(
                {
                    "back end": kind,
                    "difference": float(np.abs(found - expected).max()),
                    "one task, s": one,
                    "three tasks, s": three,
                    "load, s": load,
                    "peak GiB": peak,
                    "file, MB": files[format].stat().st_size / 1e6,
                }
            )
    missing = [name for name in FASTEST if not is_available(name)]
    facts = {"missing": missing, "dtype": dtype}
    without = f", without {', '.join(missing)}" if missing else ""
    title = f"{variant}, {side} x {side}, {num_threads} threads, medians of {repeats}{without}"
    return report(title, rows, facts)


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.backends", description=__doc__)
    add = parser.add_argument
    add("--variants", nargs="+", choices=sorted(VARIANTS), default=["upocr_nano", "upocr"])
    add("--dtype", choices=("float32", "float16"), default="float16", help="of the files")
    add("--side", type=positive_int, default=512, help="side of the picture in pixels")
    add("--repeats", type=positive_int, default=7, help="timed calls per row")
    add("--num_threads", type=positive_int, default=torch.get_num_threads())
    add("--json", type=Path, help="write the figures to this file")
    return parser


def main() -> None:
    """The command."""
    args = build_parser().parse_args()
    torch.set_num_threads(args.num_threads)
    rates = print_machine()
    reports = [
        compare(variant, args.dtype, args.side, args.repeats, args.num_threads)
        for variant in args.variants
    ]
    write_json(args.json, rates, reports)


if __name__ == "__main__":
    run(main)
