"""Shared by every command: option types and one-line errors."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows every default but None."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ValueErrors: one line, like errors of any other input."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (--help lists the options)")


def parse_bool(text: str) -> bool:
    """argparse type: true, yes, 1 or false, no, 0, in upper or lower case."""
    if text.lower() in TRUE + FALSE:
        return text.lower() in TRUE
    raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(TRUE + FALSE)}")


def positive_int(text: str) -> int:
    """argparse type: an integer above 0."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not an integer above 0")


def run(main: Callable[[], int | None]) -> None:
    """Call `main` and exit with its return value; bad input prints one line and exits with 2.

    Bad input is a ValueError or an OSError (a missing file, a folder without write permission).
    Anything else is a bug and keeps its traceback.
    """
    try:
        code = main() or 0
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        code = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        code = 130
    sys.exit(code)
