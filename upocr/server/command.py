"""Options of the server, and running it."""

import argparse
import signal
from importlib.util import find_spec
from typing import TYPE_CHECKING

from upocr.cli import HelpFormatter, Parser, positive_int
from upocr.server.limits import Limits

if TYPE_CHECKING:
    from upocr.predictor import UPOCR

REQUIRED = ("fastapi", "uvicorn", "python_multipart")


def build_parser() -> argparse.ArgumentParser:
    """Options of `python -m upocr.server`."""
    parser = Parser(
        prog="python -m upocr.server",
        description="Serve the HTTP API and the web page.",
        formatter_class=HelpFormatter,
    )
    add_arguments(parser)
    add = parser.add_argument_group("model and machine").add_argument
    add("--weights", help="file or URL; by default those of the repository")
    add("--device", default="auto", help="auto, cpu, mps, or a GPU by its name in PyTorch")
    add("--batch_size", type=positive_int, default=4, help="windows per step")
    add("--num_threads", type=int, default=0, help="of the CPU; 0 for the library's choice")
    return parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the server; those of the model belong to the caller."""
    add = parser.add_argument_group("server").add_argument
    limits = Limits()
    add("--host", default="127.0.0.1", help="address; 0.0.0.0 serves the whole network")
    add("--port", type=int, default=8000, help="0 takes a free one")
    add("--max_bytes", type=positive_int, default=limits.max_bytes, help="of one request")
    add("--max_pixels", type=positive_int, default=limits.max_pixels, help="of one picture")
    add(
        "--max_queue", type=positive_int, default=limits.max_queue, help="requests at the same time"
    )
    add("--time_limit", type=float, default=limits.time_limit, help="seconds per picture")


def main(args: argparse.Namespace, model: "UPOCR | None" = None) -> int:
    """Serve until SIGTERM or Ctrl-C; what runs is finished first.

    Args:
        args: values of `add_arguments`; without a `model` also weights, device, batch_size and
            num_threads.
        model: answers all requests.

    Raises ValueError with one line for wrong options, weights that are missing or do not fit, and a
    missing package, OSError for an address in use.
    """
    if missing := [name for name in REQUIRED if find_spec(name) is None]:
        names = ", ".join(name.replace("_", "-") for name in missing)
        raise ValueError(f"the server needs {names}: pip install 'upocr[server]'")
    limits = Limits(args.max_bytes, args.max_pixels, args.max_queue, args.time_limit)
    # The options alone need neither the framework nor OpenCV.
    from upocr.predictor import UPOCR  # noqa: PLC0415
    from upocr.server.serve import serve  # noqa: PLC0415

    if model is None:
        model = UPOCR.from_pretrained(
            args.weights,
            args.device,
            batch_size=args.batch_size,
            num_threads=args.num_threads,
        )
    # uvicorn finishes what runs, restores this handler and raises the signal once more.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    serve(model, args.host, args.port, limits)
    return 0
