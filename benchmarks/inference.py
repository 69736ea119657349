"""Time of one image, share of the machine's rate, peers: `python -m benchmarks.inference`."""

import copy
from collections.abc import Callable
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
from benchmarks.naive import naive_copy
from models import TASKS, build_upocr
from models.build import VARIANTS
from models.fast import for_inference
from models.swin import SwinStage
from utils.cli import Parser, parse_bool, positive_int, run

NAIVE = "naive, eager"
THREE_TASKS = "float32  ours, three tasks"  # other work than the others, so without rates
# A stage whose work is the same in all libraries: the first of the paper's encoder at 512 x 512.
STAGE_DIM, STAGE_HEADS, STAGE_WINDOW, STAGE_SIDE = 96, 3, 16, 128

Call = Callable[[], Any]


def useful_gflop(network: nn.Module, image: Tensor) -> float:
    """Work of one task on one image, multiply and add counted apart, without any folding."""
    with FlopCounterMode(display=False) as counter:
        network(image, TASKS[:1])
    return counter.get_total_flops() / 1e9


def variants(variant: str, side: int, compiled: bool) -> dict[str, Callable[[], Call]]:
    """What is compared, by name: builders of networks, each for one image and one task."""
    ways: dict[str, Callable[[], Call]] = {}
    for name, dtype in DTYPES.items():
        build = partial(make_call, variant, dtype, side)
        ways[f"{name}  {NAIVE}"] = partial(build, naive=True)
        ways[f"{name}  ours, eager"] = build
        if compiled:
            ways[f"{name}  ours, compiled"] = partial(build, compiled=True)
    ways[THREE_TASKS] = partial(make_call, variant, torch.float32, side, tasks=[TASKS])
    return ways


def make_call(
    variant: str,
    dtype: torch.dtype,
    side: int,
    *,
    naive: bool = False,
    compiled: bool = False,
    tasks: Any = TASKS[:1],
) -> Call:
    """Inference of one image with new weights: naive, or as `Predictor` does it."""
    torch.manual_seed(0)
    model = build_upocr(variant, scratch_init=True).eval()
    network: nn.Module = naive_copy(model) if naive else for_inference(model, dtype)
    if compiled:
        network = torch.compile(network)
    image = torch.rand(1, 3, side, side)

    def call() -> Tensor:
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            return network(image, tasks)[-1]

    return call


def compare(variant: str, side: int, compiled: bool, repeats: int, rates: dict) -> dict[str, Any]:
    """The main table."""
    model = build_upocr(variant).eval()
    gflop = useful_gflop(naive_copy(model), torch.rand(1, 3, side, side))
    calls = {name: build() for name, build in variants(variant, side, compiled).items()}
    seconds = interleave(calls, repeats, warmup=2)
    calls.clear()
    naive = {name: median(seconds[f"{name}  {NAIVE}"]) for name in DTYPES}
    rows = []
    for name, times in seconds.items():
        dtype, took = name.split()[0], median(times)
        rate = gflop / took if name != THREE_TASKS else None
        rows.append(
            {
                "variant": name,
                "seconds": took,
                "GFLOP/s": rate,
                "share of GEMM": rate and rate / rates[dtype],
                "times naive": rate and naive[dtype] / took,
                "peak GiB": in_fresh_process(_peak, variant, side, compiled, name),
            }
        )
    title = f"{variant}, {side} x {side}, batch 1: {gflop:.1f} GFLOP a task, medians of {repeats}"
    return report(title, rows, {"gflop": gflop, "seconds": seconds})


@torch.inference_mode()
def _peak(variant: str, side: int, compiled: bool, name: str) -> float:
    variants(variant, side, compiled)[name]()()
    return peak_gib()


def stages() -> dict[str, nn.Module]:
    """Two blocks, the second one shifted, of every library; weights are each one's own."""
    side, window = STAGE_SIDE, STAGE_WINDOW
    ours = SwinStage(STAGE_DIM, STAGE_HEADS, window, window, [0.0, 0.0])
    naive = nn.Sequential(*copy.deepcopy(ours).blocks)
    torchvision = nn.Sequential(
        *(
            SwinTransformerBlockV2(STAGE_DIM, STAGE_HEADS, [window] * 2, [shift] * 2)
            for shift in (0, window // 2)
        )
    )
    timm = nn.Sequential(
        *(
            timm_swin.SwinTransformerV2Block(
                STAGE_DIM, (side, side), STAGE_HEADS, window_size=window, shift_size=shift
            )
            for shift in (0, window // 2)
        )
    )
    return {"naive": naive_copy(naive), "torchvision": torchvision, "timm": timm, "ours": ours}


def compare_stages(repeats: int) -> dict[str, Any]:
    """Our blocks beside those of the libraries, in float32."""
    x = torch.rand(1, STAGE_SIDE, STAGE_SIDE, STAGE_DIM)
    calls = {name: _stage_caller(stage.eval(), x) for name, stage in stages().items()}
    seconds = interleave(calls, repeats, warmup=2)
    rows = [
        {"blocks": name, "ms": 1e3 * median(times), "times ours": median(times) / median(ours)}
        for ours in [seconds["ours"]]
        for name, times in seconds.items()
    ]
    title = f"two blocks of {STAGE_DIM} channels, window {STAGE_WINDOW}, map {STAGE_SIDE}, eager"
    return report(title, rows, {"seconds": seconds})


def _stage_caller(stage: nn.Module, x: Tensor) -> Call:
    return lambda: stage(x)


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.inference", description=__doc__)
    add = parser.add_argument
    add("--variant", choices=sorted(VARIANTS), default="upocr")
    add("--side", type=positive_int, default=512, help="of the image, in pixels")
    add("--compile", type=parse_bool, default=True, help="also with torch.compile")
    add("--repeats", type=positive_int, default=7, help="timed calls of each variant")
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
