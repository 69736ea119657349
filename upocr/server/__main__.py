"""`python -m upocr.server`: the API and the page, with one-line errors."""

import sys

from upocr.server.command import build_parser, main


def run() -> int:
    """Serve until stopped; bad input prints one line and returns 2."""
    try:
        return main(build_parser().parse_args())
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(run())
