"""Atomic files and JSON; `upocr/files.py` defines them."""

from upocr.files import atomic_path, read_json, remove_temporaries, write_json

__all__ = ["atomic_path", "read_json", "remove_temporaries", "write_json"]
