"""What the page must know about a model: its tasks, limits, and the constants of decisions."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from upocr.composite import DILATION, FEATHER
from upocr.decisions import GAP, RULE
from upocr.tasks import TEXT_SEGMENTATION

# Names of the tasks in the API and on the page.
ROUTES = {
    "remove": "text_removal",
    "segment": "text_segmentation",
    "detect": "tampered_text_detection",
}
LEAST_PROBABILITY = 0.05  # below, no threshold of the page finds text


def describe(tasks: Sequence[str], window: int, max_bytes: int, max_pixels: int) -> dict[str, Any]:
    """The answer of `/v1/model`, for JSON.

    Args:
        tasks: of the model.
        window: side in pixels.
        max_bytes, max_pixels: of one picture.
    """
    return {
        "tasks": {route: task for route, task in ROUTES.items() if task in tasks},
        "window": window,
        "limits": {"max_bytes": max_bytes, "max_pixels": max_pixels},
        "decision": {
            "threshold": TEXT_SEGMENTATION.threshold,
            "least_threshold": LEAST_PROBABILITY,
            **asdict(RULE),
            "gap": GAP,
            "dilation": DILATION,
            "feather": FEATHER,
        },
    }
