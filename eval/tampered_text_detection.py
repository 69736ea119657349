"""Evaluator of tampered text detection: IoU and F of genuine and of tampered text, by pixels."""

from eval.evaluator import EVALUATORS
from eval.pixel_classes import PixelClassEvaluator
from tasks import TAMPERED_TEXT_DETECTION


@EVALUATORS.register(TAMPERED_TEXT_DETECTION.name)
class TamperedTextDetectionEvaluator(PixelClassEvaluator):
    """The class of a pixel is the strongest channel."""

    task = TAMPERED_TEXT_DETECTION
