"""The unified model and its losses."""

from models.build import VARIANTS, build_upocr
from models.criterion import LOSSES, MultiTaskCriterion, TaskLoss, build_criterion, needs_vgg16
from models.image_losses import IMAGE_LOSSES
from models.upocr import UPOCRNetwork
from models.vgg import build_vgg16, vgg16_from_state

__all__ = [
    "IMAGE_LOSSES",
    "LOSSES",
    "VARIANTS",
    "MultiTaskCriterion",
    "TaskLoss",
    "UPOCRNetwork",
    "build_criterion",
    "build_upocr",
    "build_vgg16",
    "needs_vgg16",
    "vgg16_from_state",
]
