"""Remove, segment or check the text of your own images: `upocr run` of a clone."""

from upocr.cli import run
from upocr.prediction import build_parser, main

__all__ = ["build_parser", "main"]

if __name__ == "__main__":
    run(main)
