"""Shared by every command: option types and lines; `upocr/cli.py` defines them."""

from upocr.cli import (
    BOOL,
    HelpFormatter,
    Parser,
    memory_failure,
    parse_bool,
    positive_int,
    run,
    say,
)

__all__ = [
    "BOOL",
    "HelpFormatter",
    "Parser",
    "memory_failure",
    "parse_bool",
    "positive_int",
    "run",
    "say",
]
