"""One run at a time per folder of results; `upocr/lock.py` defines it."""

from upocr.lock import LOCK, locked

__all__ = ["LOCK", "locked"]
