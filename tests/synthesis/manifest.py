"""The manifest of a synthetic data set."""

import json
from pathlib import Path
from typing import Any

from synthesis.layouts import MANIFEST


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """Its records, one per image."""
    lines = (folder / MANIFEST).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
