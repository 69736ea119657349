"""Time and memory per image, plain and accelerated: `python -m benchmarks.inference`."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import timm.models.swin_transformer_v2 as timm_swin
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.swin_transformer import SwinTransformerBlockV2

from benchmarks.measure import (
    DTYPES,
    in_fresh_process,
    interleave,
    median,
    peak_gib,
    print_machine,
    report,
    write_json,
)
from models import VARIANTS, build_upocr
from models.fast import INFERENCE_SWAPS, for_inference
from models.swin import SwinStage
from tasks import OFFICIAL_TASKS
from utils.cli import BOOL, Parser, positive_int, run

# Name of a kind of network -> its swaps; None: the plain model.
KINDS: dict[str, tuple[str, ...] | None] = {
    "plain": None,
    **{f"only {name}": (name,) for name in INFERENCE_SWAPS},
    "all": tuple(INFERENCE_SWAPS),
}
# A stage of equal work in all libraries: the first of the paper's encoder at 512 x 512.
STAGE_DIM, STAGE_HEADS, STAGE_WINDOW, STAGE_SIDE = 96, 3, 16, 128

Call = Callable[[], Tensor]


def make_call(
    variant: str,
    kind: str,
    dtype: torch.dtype,
    side: int,
    tasks: Sequence[str] = OFFICIAL_TASKS[:1],
    compiled: bool = False,
) -> Call:
    """Inference of one image with random weights by a network of `KINDS`."""
    torch.manual_seed(0)
    model = build_upocr(variant, scratch_init=True).eval()
    swaps = KINDS[kind]
    if swaps is not None:
        model = for_inference(model, dtype, swaps)
    network: Any = torch.compile(model) if compiled else model
    image = torch.rand(1, 3, side, side)

    def call() -> Tensor:
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            return network(image, [list(tasks)])[-1]

    return call


def useful_gflop(variant: str, side: int) -> float:
    """Work of the plain model per image and task, multiply and add counted apart."""
    call = make_call(variant, "plain", torch.float32, side)
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 1e9


def compare(variant: str, side: int, compiled: bool, repeats: int, rates: dict) -> dict[str, Any]:
    """The main table: every kind in every type, for one task and for three tasks per image."""
    gflop = useful_gflop(variant, side)
    builders: dict[tuple[str, int, str], Callable[[], Call]] = {
        (name, count, kind): partial(
            make_call, variant, kind, dtype, side, tasks=OFFICIAL_TASKS[:count]
        )
        for name, dtype in DTYPES.items()
        for count in (1, len(OFFICIAL_TASKS))
        for kind in KINDS
    }
    if compiled:
        for name, dtype in DTYPES.items():
            build = partial(make_call, variant, "all", dtype, side, compiled=True)
            builders[name, 1, "all, compiled"] = build
    seconds = interleave({key: build() for key, build in builders.items()}, repeats, warmup=2)
    rows = []
    for key, times in seconds.items():
        name, count, kind = key
        plain, took = median(seconds[name, count, "plain"]), median(times)
        share = gflop / took / rates[name] if count == 1 else None
        peak = in_fresh_process(_peak, builders[key])
        rows.append(
            {
                "type": name,
                "tasks": count,
                "swaps": kind,
                "seconds": took,
                "of plain": took / plain,
                "share of GEMM": share,
                "peak GiB": peak,
            }
        )
    title = (
        f"{variant}, {side} x {side}: {gflop:.1f} GFLOP per image and task, medians of {repeats}"
    )
    return report(title, rows, {"gflop": gflop})


@torch.inference_mode()
def _peak(build: Callable[[], Call]) -> float:
    build()()
    return peak_gib()


def stages() -> dict[str, nn.Module]:
    """Two blocks of every library, the second one shifted, with weights of its own."""
    side, window = STAGE_SIDE, STAGE_WINDOW
    shifts = (0, window // 2)
    torchvision = (
        SwinTransformerBlockV2(STAGE_DIM, STAGE_HEADS, [window] * 2, [shift] * 2)
        for shift in shifts
    )
    timm = (
        timm_swin.SwinTransformerV2Block(
            STAGE_DIM, (side, side), STAGE_HEADS, window_size=window, shift_size=shift
        )
        for shift in shifts
    )
    return {
        "ours, plain": SwinStage(STAGE_DIM, STAGE_HEADS, window, window, [0.0, 0.0]),
        "torchvision": nn.Sequential(*torchvision),
        "timm": nn.Sequential(*timm),
    }


def compare_stages(repeats: int) -> dict[str, Any]:
    """The plain blocks beside those of the libraries, in float32."""
    x = torch.rand(1, STAGE_SIDE, STAGE_SIDE, STAGE_DIM)
    calls = {name: partial(stage.eval(), x) for name, stage in stages().items()}
    seconds = interleave(calls, repeats, warmup=2)
    rows = [{"blocks": name, "ms": 1e3 * median(times)} for name, times in seconds.items()]
    title = f"two blocks of {STAGE_DIM} channels, window {STAGE_WINDOW}, map {STAGE_SIDE}, eager"
    return report(title, rows, {})


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.inference", description=__doc__)
    add = parser.add_argument
    add("--variant", choices=sorted(VARIANTS), default="upocr")
    add("--side", type=positive_int, default=512, help="side of the image in pixels")
    add("--compile", **BOOL, default=False, help="include torch.compile")
    add("--repeats", type=positive_int, default=7, help="timed calls per row")
    add("--num_threads", type=positive_int, default=torch.get_num_threads())
    add("--json", type=Path, help="write the figures to this file")
    return parser


@torch.inference_mode()
def main() -> None:
    """The command."""
    args = build_parser().parse_args()
    torch.set_num_threads(args.num_threads)
    rates = print_machine()
    reports = [
        compare(args.variant, args.side, args.compile, args.repeats, rates),
        compare_stages(args.repeats),
    ]
    write_json(args.json, rates, reports)


if __name__ == "__main__":
    run(main)
