"""Text removal, text segmentation and tampered text detection for own images."""

from upocr.predictor import UPOCR

__all__ = ["UPOCR"]
