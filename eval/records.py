"""`metrics.json`: the results of `main.py --eval true`, one record per data set."""

from pathlib import Path
from typing import Any

from utils.files import read_json

METRICS = "metrics.json"


def read_metrics(path: Path) -> dict[str, dict[str, Any]]:
    """Data set -> its record; ValueError naming a file that is missing or of another program."""
    metrics = read_json(path)
    if not isinstance(metrics, dict) or not all(map(_is_record, metrics.values())):
        raise ValueError(f"{path}: not written by main.py --eval true")
    return metrics


def _is_record(record: Any) -> bool:
    # The task may be registered by a module that is not imported here.
    if not isinstance(record, dict):
        return False
    return isinstance(record.get("task"), str) and isinstance(record.get("num_images"), int)


def figure(record: dict[str, Any], keys: str) -> float | None:
    """The figure at `keys`, as `strict/psnr`; None if there is none, as without targets."""
    value: Any = record
    for key in keys.split("/"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, int | float) else None
