"""`python -m upocr.server`: the API and the page."""

from upocr.cli import run
from upocr.server.command import build_parser, main

if __name__ == "__main__":
    run(lambda: main(build_parser().parse_args()))
