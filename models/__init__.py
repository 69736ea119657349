"""The unified model and its losses."""

from models.criterion import MultiTaskCriterion, build_criterion
from models.prompt import TASKS
from models.upocr import UPOCR, VARIANTS, build_upocr
from models.vgg import build_vgg16, vgg16_from_state

__all__ = [
    "TASKS",
    "UPOCR",
    "VARIANTS",
    "MultiTaskCriterion",
    "build_criterion",
    "build_upocr",
    "build_vgg16",
    "vgg16_from_state",
]
