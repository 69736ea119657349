"""Evaluation: one evaluator per task, all with the same interface."""

# Importing an evaluator registers it.
from eval import tampered_text_detection, text_removal, text_segmentation  # noqa: F401
from eval.evaluator import EVALUATORS, EvaluationOptions, Evaluator, build_evaluator, report
from eval.pixel_classes import PixelClassEvaluator

__all__ = [
    "EVALUATORS",
    "EvaluationOptions",
    "Evaluator",
    "PixelClassEvaluator",
    "build_evaluator",
    "report",
]
