"""Options of the server, and running it."""

import argparse
import signal
from importlib.util import find_spec

from upocr.cli import HelpFormatter, Parser, positive_int
from upocr.prediction import add_model_arguments, load_model
from upocr.predictor import UPOCR
from upocr.server.limits import Limits

REQUIRED = ("fastapi", "uvicorn", "python_multipart")


def build_parser() -> argparse.ArgumentParser:
    """Options of `python -m upocr.server`."""
    parser = Parser(
        prog="python -m upocr.server",
        description="Serve the HTTP API and the web page.",
        formatter_class=HelpFormatter,
    )
    add_arguments(parser)
    return parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the server, and those of weights and machine."""
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
    add_model_arguments(parser)


def main(args: argparse.Namespace, model: UPOCR | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; what runs is finished first.

    Args:
        args: values of `add_arguments`.
        model: answers all requests; None for the one that `args` names.

    Raises ValueError with one line for wrong options, weights that are missing or do not fit, and a
    missing package, OSError for an address in use.
    """
    if missing := [name for name in REQUIRED if find_spec(name) is None]:
        names = ", ".join(name.replace("_", "-") for name in missing)
        raise ValueError(f"the server needs {names}: pip install 'upocr[server]'")
    limits = Limits(args.max_bytes, args.max_pixels, args.max_queue, args.time_limit)
    from upocr.server.serve import serve  # noqa: PLC0415 - the framework is an extra

    if model is None:
        model = load_model(args)
    # uvicorn finishes what runs, restores this handler and raises the signal once more.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    serve(model, args.host, args.port, limits)
    return 0
