"""Text removal: the evaluator, and the same metrics as a command on two folders."""

from eval.text_removal.evaluator import TextRemovalEvaluator

__all__ = ["TextRemovalEvaluator"]
