"""Time of a training step or of an image, by part: `python -m benchmarks.profile`."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.inference import make_call
from benchmarks.measure import DTYPES, print_machine, report, write_json
from benchmarks.training import Setting, make_step
from models import VARIANTS
from utils.cli import Parser, positive_int, run

# Part -> prefixes of the names of its operators. An operator counts for the first part that fits
# itself or one of its callers.
PARTS = {
    "attention": ("upocr::", "aten::_scaled_dot_product", "aten::bmm", "aten::_softmax"),
    "convolutions": ("aten::convolution", "aten::mkldnn_convolution"),
    "linear layers": ("aten::mm", "aten::addmm", "aten::linear", "mkldnn::_linear"),
    "normalisation": ("aten::native_layer_norm", "aten::layer_norm"),
    "GELU": ("aten::gelu",),
    "optimizer": ("Optimizer.", "aten::_fused_adam"),
}
REST = "element-wise, copies"
# Operators with counted arithmetic, of the plain model: it has no operators of its own.
WORK = {
    "attention": ("bmm", "baddbmm"),
    "convolutions": ("convolution", "convolution_backward"),
    "linear layers": ("mm", "addmm"),
}


def part_of(event: FunctionEvent | None) -> str:
    """Part of an event: one of `PARTS`, else `REST`."""
    names, caller = [], event
    while caller is not None:
        names.append(caller.name)
        caller = caller.cpu_parent
    for part, beginnings in PARTS.items():
        if any(name.startswith(beginnings) for name in names):
            return part
    return REST


def seconds_by_part(call: Callable[[], Any], repeats: int) -> Counter:
    """Seconds per part of one call, mean of `repeats` after a first call."""
    call()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(repeats):
            call()
    seconds: Counter = Counter()
    for event in profiler.events():
        seconds[part_of(event)] += event.self_cpu_time_total / 1e6 / repeats
    return seconds


def gflop_by_part(call: Callable[[], Any]) -> Counter:
    """Work per part of one call, multiply and add counted apart."""
    with FlopCounterMode(display=False) as counter:
        call()
    gflop: Counter = Counter()
    for operator, count in counter.get_flop_counts()["Global"].items():
        name = str(operator).split(".")[-1]
        for part, operators in WORK.items():
            gflop[part] += count / 1e9 if name in operators else 0
    return gflop


def compare(args: Any, rates: dict[str, float]) -> dict[str, Any]:
    """The table: time, share, and the rate of matrix products."""
    dtype = DTYPES[args.dtype]

    def make(kind: str) -> Callable[[], Any]:
        if args.of == "inference":
            return make_call(args.variant, kind, dtype, args.side)
        setting = Setting(args.variant, args.side, args.batch_size, args.vgg16_weights)
        return make_step(setting, kind, dtype)

    kind = "plain" if args.plain else "all"
    gflop = gflop_by_part(make("plain"))
    seconds = seconds_by_part(make(kind), args.repeats)
    total = sum(seconds.values())
    rows = []
    for part, took in seconds.most_common():
        rate = gflop[part] / took if gflop[part] else None
        rows.append(
            {
                "part": part,
                "ms": 1e3 * took,
                "share": took / total,
                "GFLOP": gflop[part] or None,
                "GFLOP/s": rate,
                "of GEMM": rate / rates[args.dtype] if rate else None,
            }
        )
    swaps = "no swaps" if args.plain else "all swaps"
    title = f"{args.of} of {args.variant}, {args.side} x {args.side}, {args.dtype}, {swaps}: "
    return report(title + f"{total:.3f} s", rows, {"seconds": total})


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.profile", description=__doc__)
    add = parser.add_argument
    add("--of", choices=["inference", "training"], default="training")
    add("--variant", choices=sorted(VARIANTS), default="upocr")
    add("--side", type=positive_int, default=512, help="side of the images in pixels")
    add("--batch_size", type=positive_int, default=1, help="samples per task in training")
    add("--dtype", choices=list(DTYPES), default="float32")
    add("--plain", action="store_true", help="the plain model, without swaps")
    add("--vgg16_weights", default="none", help="imagenet, random, none or a file")
    add("--repeats", type=positive_int, default=3, help="profiled calls")
    add("--num_threads", type=positive_int, default=torch.get_num_threads())
    add("--json", type=Path, help="write the figures to this file")
    return parser


def main() -> None:
    """The command."""
    args = build_parser().parse_args()
    torch.set_num_threads(args.num_threads)
    rates = print_machine()
    with torch.inference_mode(args.of == "inference"):
        write_json(args.json, rates, [compare(args, rates)])


if __name__ == "__main__":
    run(main)
