"""Shared by every command: option types and one-line errors; `upocr/cli.py` defines them."""

from upocr.cli import HelpFormatter, Parser, parse_bool, positive_int, run

__all__ = ["HelpFormatter", "Parser", "parse_bool", "positive_int", "run"]
