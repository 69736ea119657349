"""Attack the project for a long time and print what it survived: `python -m tests.soak`."""

import argparse
import importlib
import importlib.util
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
MODULES = ("mutations", "properties", "concurrency", "kills")


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the attacks")
    parser.add_argument("--only", nargs="+", choices=MODULES, default=MODULES)
    return parser


def main() -> int:
    """Run the attacks; returns 1 if one succeeded."""
    args = build_parser().parse_args()
    sys.path[:0] = [str(TESTS.parent), str(TESTS)]  # as for the tests
    started = time.monotonic()
    print(f"{'attack':<32} {'tried':>6} {'survived':>9} {'failed':>7}", flush=True)
    failed = 0
    for name in args.only:
        if importlib.util.find_spec(f"soak.{name}") is None:
            continue
        for row in importlib.import_module(f"soak.{name}").soak(args.scale):
            print(f"{row.name:<32} {row.tried:>6} {row.survived:>9} {row.failed:>7}", flush=True)
            failed += row.failed
    print(f"{time.monotonic() - started:.0f} s, {failed or 'none'} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
