"""Text removal, text segmentation and tampered text detection for own images."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from upocr.predictor import UPOCR

__version__ = "0.1.0"
__all__ = ["UPOCR", "__version__"]


def __getattr__(name: str) -> Any:
    """Load the predictor at its first use: `upocr.tasks` alone needs neither OpenCV nor Pillow."""
    if name != "UPOCR":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from upocr.predictor import UPOCR  # noqa: PLC0415

    return UPOCR
