"""The command `upocr`, also `python -m upocr`: text removal and more for your own images."""

import argparse
import importlib.util
import sys
from collections.abc import Callable

from upocr import __version__, prediction
from upocr.backends.archive import read_archive
from upocr.backends.choice import BACKENDS, DEFAULT_WEIGHTS, choose, is_available
from upocr.cli import HelpFormatter, Parser, run
from upocr.tasks import TAMPERED_TEXT_DETECTION, TEXT_REMOVAL, TEXT_SEGMENTATION

# Subcommand -> its task and what it does.
SINGLE = {
    "remove": (TEXT_REMOVAL.name, "erase text"),
    "segment": (TEXT_SEGMENTATION.name, "find the pixels of text"),
    "detect": (TAMPERED_TEXT_DETECTION.name, "tell genuine text from tampered text"),
}
SERVER = "fastapi"  # the package that only the server needs


def build_parser() -> argparse.ArgumentParser:
    """Options of the command and its subcommands."""
    parser = Parser(prog="upocr", description="text removal and more for your own images")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, what: str, call: Callable[[argparse.Namespace], int]) -> Parser:
        found = commands.add_parser(
            name, help=what, description=what, formatter_class=HelpFormatter
        )
        found.set_defaults(call=call)
        return found

    for name, (task, what) in SINGLE.items():
        prediction.add_arguments(add(name, what, _predict), task)
    prediction.add_arguments(add("run", "any task, or all: --task all", _predict))
    serve = add("serve", "the same as a web page and an HTTP API on this machine", _serve)
    if _has_server():
        from upocr import server  # noqa: PLC0415 - an extra

        server.add_arguments(serve)
    add("models", "list the shipped weights and the back ends", _models)
    return parser


def _has_server() -> bool:
    names = ("upocr.server", SERVER)
    return all(importlib.util.find_spec(name) is not None for name in names)


def _predict(args: argparse.Namespace) -> int:
    prediction.check(args)
    return prediction.predict(args)


def _serve(args: argparse.Namespace) -> int:
    from upocr import server  # noqa: PLC0415 - an extra

    return server.main(args) or 0


def _models(args: argparse.Namespace) -> int:
    archive = read_archive(DEFAULT_WEIGHTS)
    size = DEFAULT_WEIGHTS.stat().st_size / 1e6
    print(f"upocr_nano: {', '.join(archive.tasks)}")
    print(f"  windows of {archive.image_size} pixels, {size:.1f} MB, {archive.dtype}")
    print(f"  {DEFAULT_WEIGHTS}\n  weights {archive.weights}")
    print("\nback ends:")
    chosen = choose(BACKENDS[0], None, "auto", "auto", compile=False)
    for name in BACKENDS[1:]:
        state = "available" if is_available(name) else "not available"
        print(f"  {name}: {state}{', chosen by auto' if name == chosen else ''}")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand; 0 if all went well, 1 if some images failed."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["serve"] and not _has_server():  # which would know the options
        raise ValueError('`upocr serve` needs more packages: pip install "upocr[server]"')
    args = build_parser().parse_args(arguments)
    return args.call(args)


def command() -> None:
    """The console script."""
    run(main)


if __name__ == "__main__":
    command()
