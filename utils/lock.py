"""One run at a time per folder of results; `upocr/lock.py` defines it."""

from upocr.lock import locked

__all__ = ["locked"]
