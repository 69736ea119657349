"""What a task found in a picture, and the files that keep it. New tasks register in `RESULTS`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np

from upocr.composite import blend, change_mask, difference
from upocr.decisions import COMPONENT, confirmed_text, judge_words
from upocr.files import write_json
from upocr.picture import Picture, output_suffix, write_pictures
from upocr.regions import Region, find_regions
from upocr.registry import Registry
from upocr.tasks import (
    ERASED,
    TAMPERED_TEXT_DETECTION,
    TEXT_REMOVAL,
    TEXT_SEGMENTATION,
    Colour,
    Task,
    Verdict,
)
from upocr.words import find_words

OVERLAY_SIDE = 1600  # longest side of an overlay in pixels: for looking, not for measuring
MIN_AREA = 16  # pixels of the smallest region that is listed

Writers = dict[str, Callable[[Path], None]]  # file name or its ending -> what writes the file


@dataclass(frozen=True)
class Options:
    """How outputs of the network become results.

    Args:
        composite: `segmentation` or `difference`.
        decision: `component` or `pixel`.
        allowed: (H, W) uint8, nonzero where text may be removed; None for everywhere.
        dilation: reach of text removal around text, in pixels.
        threshold: of the segmentation; None for the default of the task.
        verdict: of tampered words.
        min_area: smaller regions are not listed, in pixels.
    """

    composite: str
    decision: str
    allowed: np.ndarray | None
    dilation: int
    threshold: float | None
    verdict: Verdict
    min_area: int


@dataclass(frozen=True)
class Request:
    """A task on a picture.

    Args:
        task: the task.
        source: the picture.
        rgb: (H, W, 3), its pixels as the network sees them.
        options: how the output becomes a result.
    """

    task: Task
    source: Picture
    rgb: np.ndarray
    options: Options


@dataclass
class Result(ABC):
    """What one task found.

    Args:
        source: the input.
    """

    source: Picture = field(repr=False)

    @classmethod
    def sources(cls, options: Options) -> tuple[str, ...]:
        """Tasks whose results `build` draws on if the model has them."""
        return ()

    @classmethod
    @abstractmethod
    def reduce(cls, request: Request, output: np.ndarray) -> tuple[np.ndarray, ...]:
        """A block of output (h, w, 3) float32 in [0, 1] -> what is kept of it, (h, w, ...) each."""

    @classmethod
    @abstractmethod
    def build(
        cls, request: Request, kept: Sequence[np.ndarray], others: Mapping[str, "Result"]
    ) -> "Result":
        """The result from the arrays of `reduce`, (H, W, ...) each, and results of other tasks."""

    @abstractmethod
    def summary(self) -> dict[str, Any]:
        """Figures for `results.json`."""

    @abstractmethod
    def writers(self, format: str, cutout: bool) -> Writers:
        """The files by the endings of their names; arguments as of `save`."""

    def files(self, format: str = "png", cutout: bool = False) -> Writers:
        """The files that `save` writes, by their names."""
        writers = self.writers(format, cutout)
        return {f"{self.source.name}.{ending}": write for ending, write in writers.items()}

    def save(self, folder: str | Path, format: str = "png", cutout: bool = False) -> list[Path]:
        """Write all files and return their paths.

        Args:
            folder: created if missing.
            format: of pictures without text: png, jpg, webp or same (as the input).
            cutout: also write segmented text on a transparent ground.
        """
        files = self.files(format, cutout)
        for name, write in files.items():
            write(Path(folder) / name)
        return [Path(folder) / name for name in files]


RESULTS: Registry[type[Result]] = Registry("result type")


@RESULTS.register(TEXT_REMOVAL.name)
@dataclass
class TextRemoval(Result):
    """A picture without its text.

    Args:
        picture: the result, with alpha, profile and depth of the input.
        mask: (H, W) uint8, weight of the new pixels; where it is 0 the input is untouched.
        painted: (H, W, 3) RGB in the depth of the input, what the network painted everywhere.
    """

    picture: Picture
    mask: np.ndarray
    painted: np.ndarray

    @property
    def image(self) -> np.ndarray:
        """(H, W, 3) RGB in the depth of the input, uint8 or uint16."""
        return self.picture.rgb()

    @classmethod
    def sources(cls, options: Options) -> tuple[str, ...]:
        return (TEXT_SEGMENTATION.name,) if options.composite == "segmentation" else ()

    @classmethod
    def reduce(cls, request: Request, output: np.ndarray) -> tuple[np.ndarray, ...]:
        dtype = request.rgb.dtype
        return (np.rint(output * np.float32(np.iinfo(dtype).max)).astype(dtype),)

    @classmethod
    def build(
        cls, request: Request, kept: Sequence[np.ndarray], others: Mapping[str, Result]
    ) -> "TextRemoval":
        (painted,) = kept
        options = request.options
        if options.composite == "segmentation":
            changed = cast(TextSegmentation, others[TEXT_SEGMENTATION.name]).mask
        else:
            changed = difference(request.rgb, painted)
        mask = change_mask(changed, options.allowed, options.dilation)
        return cls(request.source, blend(request.source, painted, mask), mask, painted)

    def summary(self) -> dict[str, Any]:
        return {"text_area": int(np.count_nonzero(self.mask))}

    def writers(self, format: str, cutout: bool) -> Writers:
        """`removed.FORMAT` and an overlay."""
        return {
            f"removed.{output_suffix(self.source, format)}": lambda path: write_pictures(
                [self.picture], path
            ),
            "removed_overlay.png": lambda path: write_overlay(
                path, self.source, (self.mask > 0).astype(np.uint8), [None, ERASED]
            ),
        }


@dataclass
class ClassMap(Result):
    """A class for every pixel; serves any task with classes as it is.

    Args:
        task: names and colours of the classes.
        classes: (H, W) uint8, numbers of classes.
        scores: (H, W) uint8, 255 is certain, see `certainty`.
        min_area: smaller regions are not listed, in pixels.
    """

    task: Task
    classes: np.ndarray
    scores: np.ndarray
    min_area: int = MIN_AREA

    @classmethod
    def reduce(cls, request: Request, output: np.ndarray) -> tuple[np.ndarray, ...]:
        scores = np.rint(certainty(request.task, output) * 255).astype(np.uint8)
        return request.task.classes_of(output, request.options.threshold), scores

    @classmethod
    def build(
        cls, request: Request, kept: Sequence[np.ndarray], others: Mapping[str, Result]
    ) -> "ClassMap":
        classes, scores = kept
        return cls(request.source, request.task, classes, scores, request.options.min_area)

    @cached_property
    def regions(self) -> list[Region]:
        """Connected pixels of one class, except the first class."""
        names = [each.name for each in self.task.classes]
        return find_regions(self.classes, self.scores, names, self.min_area)

    def listing(self) -> dict[str, Any]:
        """Size of the picture and regions, for JSON."""
        height, width = self.source.size
        regions = [region.as_dict() for region in self.regions]
        return {"width": width, "height": height, "regions": regions}

    def summary(self) -> dict[str, Any]:
        """Pixels of every class but the first."""
        return {
            f"{each.name}_area": int(np.count_nonzero(self.classes == number))
            for number, each in enumerate(self.task.classes)
            if number
        }

    def writers(self, format: str, cutout: bool) -> Writers:
        """`TASK.png` in the colours of the classes and an overlay."""
        return {
            f"{self.task.name}.png": self._write_classes,
            f"{self.task.name}_overlay.png": self._write_overlay,
        }

    def _write_classes(self, path: Path) -> None:
        write_array(path, self.task.class_picture(self.classes))

    def _write_listing(self, path: Path) -> None:
        write_json(path, self.listing())

    def _write_overlay(self, path: Path) -> None:
        tints = [each.tint for each in self.task.classes]
        write_overlay(path, self.source, self.classes, tints)


def certainty(task: Task, output: np.ndarray) -> np.ndarray:
    """Score of every pixel, (H, W, 3) -> (H, W) float32 in [0, 1].

    Of two classes it is the probability of the second, which all channels share; of more, with a
    channel each, the share of the strongest channel.
    """
    if len(task.classes) == 2:
        return output.mean(axis=2)
    return output.max(axis=2) / np.maximum(output.sum(axis=2), 1e-6)


@RESULTS.register(TEXT_SEGMENTATION.name)
@dataclass
class TextSegmentation(ClassMap):
    """Pixels of text."""

    @classmethod
    def sources(cls, options: Options) -> tuple[str, ...]:
        return (TAMPERED_TEXT_DETECTION.name,) if options.decision == COMPONENT else ()

    @classmethod
    def build(
        cls, request: Request, kept: Sequence[np.ndarray], others: Mapping[str, Result]
    ) -> "TextSegmentation":
        text, probability = kept
        if request.options.decision == COMPONENT:
            detection = others.get(TAMPERED_TEXT_DETECTION.name)
            detected = None if detection is None else cast(ClassMap, detection).classes
            threshold = request.options.threshold
            threshold = request.task.threshold if threshold is None else threshold
            text = confirmed_text(text, probability, threshold, detected)
        return cls(request.source, request.task, text, probability, request.options.min_area)

    @cached_property
    def regions(self) -> list[Region]:
        """Words in reading order."""
        return find_words(self.classes, self.scores, self.task.classes[1].name, self.min_area)

    @property
    def probability(self) -> np.ndarray:
        """(H, W) uint8, 255 is certainly text."""
        return self.scores

    @property
    def mask(self) -> np.ndarray:
        """(H, W) uint8, 255 for text and 0 for background."""
        return np.where(self.classes, np.uint8(255), np.uint8(0))

    def summary(self) -> dict[str, Any]:
        """Pixels of text and their mean probability, None without text."""
        text = self.classes > 0
        score = round(float(self.scores[text].mean()) / 255, 4) if text.any() else None
        return super().summary() | {"score": score}

    def writers(self, format: str, cutout: bool) -> Writers:
        """`probability.png`, `mask.png`, an overlay, `words.json`, and if asked `cutout.png`."""
        writers: Writers = {
            "probability.png": lambda path: write_array(path, self.probability),
            "mask.png": lambda path: write_array(path, self.mask),
            "mask_overlay.png": self._write_overlay,
            "words.json": self._write_listing,
        }
        return writers | ({"cutout.png": self._write_cutout} if cutout else {})

    def _write_cutout(self, path: Path) -> None:
        rgb = self.source.rgb()
        alpha = self.mask.astype(rgb.dtype) * (np.iinfo(rgb.dtype).max // 255)
        write_pictures([Picture("", rgb, alpha)], path)


@RESULTS.register(TAMPERED_TEXT_DETECTION.name)
@dataclass
class TamperingDetection(ClassMap):
    """Genuine text and tampered text.

    The scores of regions of both classes are probabilities of tampering.
    """

    @classmethod
    def reduce(cls, request: Request, output: np.ndarray) -> tuple[np.ndarray, ...]:
        genuine, tampered = output[:, :, 1], output[:, :, 2]
        share = tampered / np.maximum(genuine + tampered, 1e-6)
        return request.task.classes_of(output), np.rint(share * 255).astype(np.uint8)

    @classmethod
    def build(
        cls, request: Request, kept: Sequence[np.ndarray], others: Mapping[str, Result]
    ) -> "TamperingDetection":
        classes, share = kept
        options = request.options
        if options.decision == COMPONENT:
            classes, share = judge_words(classes, share, options.verdict)
        return cls(request.source, request.task, classes, share, options.min_area)

    def summary(self) -> dict[str, Any]:
        """Pixels of text by class, number of regions and best score of the tampered ones."""
        areas = super().summary()
        scores = [region.score for region in self.regions if region.label == "tampered"]
        return areas | {
            "text_area": sum(areas.values()),
            "num_regions": len(self.regions),
            "tampered_score": max(scores, default=None),
        }

    def writers(self, format: str, cutout: bool) -> Writers:
        """`classes.png`, an overlay and `regions.json`."""
        return {
            "classes.png": self._write_classes,
            "classes_overlay.png": self._write_overlay,
            "regions.json": self._write_listing,
        }


def write_array(path: Path, array: np.ndarray) -> None:
    """Write (H, W) or (H, W, 3) uint8 or uint16 as PNG."""
    write_pictures([Picture("", array)], path)


def write_overlay(
    path: Path, source: Picture, classes: np.ndarray, tints: Sequence[Colour | None]
) -> None:
    """Write the input, pale, at most `OVERLAY_SIDE` pixels long, with tinted classes.

    classes: (H, W) uint8, indices of `tints`; where they compete for a pixel, the highest wins.
    """
    rgb = source.rgb()
    scale = min(1, OVERLAY_SIDE / max(source.size))
    size = [max(1, round(side * scale)) for side in source.size[::-1]]
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    small = (small // 257).astype(np.uint8) if small.dtype == np.uint16 else small
    reach = max(1, round(1 / scale))
    if reach > 1:  # keeps thin strokes visible
        classes = cv2.dilate(classes, np.ones((reach, reach), np.uint8))
    classes = cv2.resize(classes, size, interpolation=cv2.INTER_NEAREST)
    colours = np.array([tint or (0, 0, 0) for tint in tints], np.uint8)
    tinted = np.array([tint is not None for tint in tints])[classes]
    pale = (small // 2 + 100).astype(np.uint8)
    marked = (small * 0.4 + colours[classes] * 0.6).astype(np.uint8)
    write_array(path, np.where(tinted[:, :, None], marked, pale))
