"""Atomic files, text and JSON; `upocr/files.py` defines them."""

from upocr.files import (
    atomic_path,
    check_file,
    read_json,
    read_text,
    remove_temporaries,
    resolved,
    write_json,
)

__all__ = [
    "atomic_path",
    "check_file",
    "read_json",
    "read_text",
    "remove_temporaries",
    "resolved",
    "write_json",
]
