"""Shared by every command: option types, and lines that are safe to show."""

import argparse
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from upocr.quote import printable, shortened

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


BOOL: dict[str, Any] = {"type": parse_bool, "metavar": "true|false"}  # of `add_argument`


def positive_int(text: str) -> int:
    """argparse type: an integer above 0."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not an integer above 0")


def say(line: str, error: bool = False) -> None:
    """Print a line, on standard error if it tells of one; names in it cannot steer the terminal."""
    print(printable(line), file=sys.stderr if error else sys.stdout, flush=True)


# What libraries say whose errors of memory have no type of their own.
NO_MEMORY = ("can't allocate memory", "out of memory", "Insufficient memory", "Failed to allocate")


def memory_failure(error: BaseException) -> str | None:
    """One line if Python, NumPy, OpenCV, PyTorch or a back end had too little memory; else None."""
    if not isinstance(error, MemoryError) and not any(text in str(error) for text in NO_MEMORY):
        return None
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return f"out of memory ({shortened(reason)})"


def run(main: Callable[[], int | None]) -> None:
    """Call `main` and exit with its return value; bad input prints one line and exits with 2.

    Bad input is a ValueError or an OSError (a missing file, a folder without write permission).
    Running out of memory is one line as well. Anything else is a bug and keeps its traceback.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started this process
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):  # an old terminal may lack a character of a name
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = main() or 0
    except (ValueError, OSError) as error:
        say(f"error: {' '.join(str(error).split())}", error=True)
        code = 2
    except KeyboardInterrupt:
        say("interrupted", error=True)
        code = 130
    except Exception as error:
        if not (failure := memory_failure(error)):
            raise
        say(f"error: {failure}", error=True)
        code = 2
    sys.exit(code)
