"""Remove, segment or check the text of your own images: `upocr run` of a clone."""

import os

from upocr.cli import run
from upocr.prediction import build_parser, main
from utils.processes import end_with_launcher

__all__ = ["build_parser", "main"]

if __name__ == "__main__":
    if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun
        end_with_launcher()
    run(main)
