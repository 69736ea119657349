"""`metrics.json`: what `main.py --eval true` found, a record a data set."""

from pathlib import Path
from typing import Any

from tasks import TASKS
from utils.files import read_json

METRICS = "metrics.json"


def read_metrics(path: Path) -> dict[str, dict]:
    """Data set -> its record; ValueError naming a file that is missing or of another program."""
    metrics = read_json(path)
    if not isinstance(metrics, dict) or not all(map(_is_record, metrics.values())):
        raise ValueError(f"{path}: not written by main.py --eval true")
    return metrics


def _is_record(record: Any) -> bool:
    return isinstance(record, dict) and record.get("task") in TASKS and "num_images" in record


def figure(record: dict, keys: str) -> float | None:
    """The figure at `keys`, as `strict/psnr`; None where there is none, as without targets."""
    value: Any = record
    for key in keys.split("/"):
        value = (value or {}).get(key)
    return value
