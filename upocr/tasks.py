"""The tasks: names, classes, colours, and how an output map becomes a picture or classes."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from upocr.quote import quote
from upocr.registry import Registry

Colour = tuple[int, int, int]  # RGB, 0-255
MAX_NUMBER = 1e30  # of a verdict; NaN is not below it

# Tints of overlays; class pictures use the colours of the classes.
ERASED: Colour = (220, 0, 200)
TEXT: Colour = (255, 160, 0)
IGNORED: Colour = (128, 128, 128)


@dataclass(frozen=True)
class PixelClass:
    """One class of pixels.

    Args:
        name: in the API, in JSON and in file names.
        colour: in label and class pictures.
        tint: in overlays, None for untinted; the colour of the meaning, see style of pictures.
    """

    name: str
    colour: Colour
    tint: Colour | None


Decode = Callable[[np.ndarray, float], np.ndarray]


def above_threshold(output: np.ndarray, threshold: float) -> np.ndarray:
    """(H, W, 3) in [0, 1] -> (H, W) uint8: class 1 where the channel mean exceeds the threshold."""
    return (output.mean(axis=2) > threshold).astype(np.uint8)


def strongest_channel(output: np.ndarray, threshold: float) -> np.ndarray:
    """(H, W, 3) -> (H, W) uint8: index of the largest channel; `threshold` has no part in it."""
    return output.argmax(axis=2).astype(np.uint8)


@dataclass(frozen=True)
class Task:
    """One task of the unified model.

    Args:
        name: in data configurations, checkpoints and options.
        title: for people.
        classes: pixel classes by their number; empty where the output itself is the result.
        decode: output (H, W, 3) in [0, 1] and threshold -> class numbers (H, W) uint8; None where
            the output itself is the result.
        threshold: default for `decode`.
    """

    name: str
    title: str
    classes: tuple[PixelClass, ...] = ()
    decode: Decode | None = None
    threshold: float = 0.5

    def classes_of(self, output: np.ndarray, threshold: float | None = None) -> np.ndarray:
        """Output (H, W, 3) in [0, 1] -> class numbers (H, W) uint8; threshold None: the default.

        Raises ValueError if the task has no classes.
        """
        if self.decode is None:
            raise ValueError(f"the task {self.name!r} has no classes")
        return self.decode(output, self.threshold if threshold is None else threshold)

    def class_picture(self, classes: np.ndarray) -> np.ndarray:
        """(H, W) class numbers -> (H, W, 3) uint8 in the colours of the classes."""
        return np.array([each.colour for each in self.classes], np.uint8)[classes]


@dataclass(frozen=True)
class Verdict:
    """How the evidence in a word becomes a probability of tampering, calibrated for some weights.

    Args:
        slope, offset: the logit of the share of `tampered` in the evidence, times `slope` and plus
            `offset`, is the logit of the probability.
        threshold: words of this probability and more are called tampered.
    """

    slope: float = 1.0
    offset: float = 0.0
    threshold: float = 0.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, int | float) or not abs(value) < MAX_NUMBER:
                raise ValueError(f"{name} of the verdict is {quote(value)}, expected a number")

    def probability(self, share: np.ndarray) -> np.ndarray:
        """Mean shares of words -> probabilities of tampering, both float64 in [0, 1]."""
        share = share.clip(1e-4, 1 - 1e-4)
        return 1 / (1 + np.exp(-self.slope * np.log(share / (1 - share)) - self.offset))


UNCALIBRATED = Verdict()

TASKS: Registry[Task] = Registry("task")

TEXT_REMOVAL = Task("text_removal", "Text removal")
TAMPERED_TEXT_DETECTION = Task(
    "tampered_text_detection",
    "Tampered text detection",
    # Official: one channel per class.
    classes=(
        PixelClass("background", (255, 0, 0), None),
        PixelClass("genuine", (0, 255, 0), (0, 255, 0)),
        PixelClass("tampered", (0, 0, 255), (0, 0, 255)),
    ),
    decode=strongest_channel,
)
TEXT_SEGMENTATION = Task(
    "text_segmentation",
    "Text segmentation",
    classes=(
        PixelClass("background", (0, 0, 0), None),
        PixelClass("text", (255, 255, 255), TEXT),
    ),
    decode=above_threshold,
    threshold=0.4,  # Official: textseg_conf_thres
)

for _task in (TEXT_REMOVAL, TAMPERED_TEXT_DETECTION, TEXT_SEGMENTATION):
    TASKS.register(_task.name)(_task)

# Rows of the official prompt table.
OFFICIAL_TASKS = tuple(TASKS)


def load_module(name: str) -> None:
    """Import a module that registers further tasks; raises ValueError where that fails."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ValueError(
            f"no module named {name!r}: put {name}.py into the current folder or on PYTHONPATH"
        ) from None
