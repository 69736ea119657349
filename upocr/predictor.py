"""The model for people who have pictures: any file in, typed results out."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from models.checkpoint import IMAGE_SIZE, build_from_checkpoint, load_checkpoint
from models.fast import for_inference
from tasks import OFFICIAL_TASKS as TASKS
from upocr.picture import MAX_PIXELS, Picture, as_picture, blend
from upocr.regions import find_regions
from upocr.results import TamperingDetection, TextRemoval, TextSegmentation
from upocr.tiling import (
    STRIDE,
    Bands,
    Predict,
    count_windows,
    enlarge,
    enlarge_rows,
    row_bands,
    run_resized,
    tile,
)
from utils import dist

DEFAULT_WEIGHTS = Path(__file__).resolve().parent.parent / "pretrained" / "upocr_nano.safetensors"
REMOVAL, DETECTION, SEGMENTATION = TASKS
MODES = ("tile", "resize")
COMPOSITES = ("segmentation", "difference")
THRESHOLD = 0.4  # of text segmentation; Official: textseg_conf_thres
DIFFERENCE = 16 / 255  # a channel that the network changes by more is changed on purpose
# Reach of the change mask around text, and of its soft edge, in pixels. The edge is narrower, so
# that text itself is replaced entirely.
DILATION, FEATHER = 5, 3
MIN_AREA = 16  # pixels of a region worth listing
# Text of greater height, in pixels, or above half a window, is taken from the picture at half the
# size, which is halved until it is no longer than LEAST of a window.
LARGE, LEAST = 40, 0.25

ImageLike = Picture | Image.Image | np.ndarray | str | Path
Region = np.ndarray | tuple[int, int, int, int]
Result = TextRemoval | TextSegmentation | TamperingDetection
Progress = Callable[[int], object]
Coarse = tuple[np.ndarray, np.ndarray]  # weights (h, w, 2) float32, output (h, w, C) float16


def _no_progress(count: int) -> None:
    pass


class Predictor:
    """Runs the three tasks on pictures of any size; `predict.py` calls it `UPOCR`.

    Args:
        network: takes images (B, 3, h, w) and T task names for each, returns maps (B, T, 3, h, w)
            of which the last counts.
        device: where the network is.
        dtype: of mixed precision, None for float32.
        window: side of a window in pixels, a multiple of 32; the training size suits best.
        batch_size: windows at once.
        mode: `tile` works at full size in windows, `resize` on the whole picture made
            `resize_side` x `resize_side`.
        resize_side: see `mode`, in pixels.
        max_pixels: larger files are refused.
    """

    def __init__(
        self,
        network: nn.Module,
        device: torch.device,
        dtype: torch.dtype | None = None,
        window: int = IMAGE_SIZE,
        batch_size: int = 4,
        mode: str = "tile",
        resize_side: int = IMAGE_SIZE,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"unknown mode {mode!r}, expected one of {MODES}")
        for name, side in (("window", window), ("resize_side", resize_side)):
            if side < STRIDE or side % STRIDE:
                raise ValueError(f"{name} is {side}, expected a positive multiple of {STRIDE}")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1")
        self.network, self.device, self.dtype = network, device, dtype
        self.window, self.batch_size, self.mode = window, batch_size, mode
        self.resize_side, self.max_pixels = resize_side, max_pixels

    @classmethod
    def from_pretrained(
        cls,
        weights: str | Path | None = None,
        device: str = "auto",
        *,
        dtype: str = "auto",
        compile: bool = False,
        window: int | None = None,
        **options,
    ) -> "Predictor":
        """Load weights and be ready.

        Args:
            weights: a path or URL of our checkpoints, official files or safetensors; None: the
                ones in `pretrained/`.
            device: auto, cpu, cuda, cuda:1 or mps.
            dtype: auto, float32, bfloat16 or float16.
            compile: speed the network up with `torch.compile`, which pays after many windows.
            window: None: the size that the weights name, usually that of the images in training.
            options: the other arguments of the class.

        Raises ValueError with one line for weights or devices that are not there or do not fit.
        """
        target = dist.select_device(device)
        precision = dist.inference_dtype(target, dtype)
        checkpoint = load_checkpoint(find_weights(weights))
        model = build_from_checkpoint(checkpoint)
        network = for_inference(model, precision or torch.float32).to(target)
        if compile:
            network = torch.compile(network)
        side = checkpoint.image_size if window is None else window
        return cls(network, target, precision, side, **options)

    def run(
        self,
        image: ImageLike,
        tasks: Sequence[str] = TASKS,
        *,
        composite: str = "segmentation",
        threshold: float = THRESHOLD,
        region: Region | None = None,
        min_area: int = MIN_AREA,
        progress: Progress = _no_progress,
    ) -> dict[str, Result]:
        """Several tasks on one picture; the encoder sees every window once for all of them.

        Args:
            image: a path, a Pillow image, an RGB array (H, W, 3) uint8, or a `Picture`.
            tasks: names out of `TASKS`.
            composite, region: see `remove_text`.
            threshold: see `segment_text`.
            min_area: see `detect_tampering`.
            progress: called with the number of windows that are done.

        Returns the results by task. Raises ValueError for a wrong argument.
        """
        _check_arguments(tasks, composite, threshold)
        picture = as_picture(image, max_pixels=self.max_pixels)
        allowed = None if region is None else region_mask(region, picture.size)
        needed = set(tasks)
        if REMOVAL in tasks and composite == "segmentation":
            needed.add(SEGMENTATION)
        rgb = picture.rgb()
        found = self._gather(rgb, [task for task in TASKS if task in needed], threshold, progress)
        makers = {
            REMOVAL: lambda: _removal(picture, rgb, found, composite, allowed),
            SEGMENTATION: lambda: TextSegmentation(*found[SEGMENTATION], picture),
            DETECTION: lambda: _detection(picture, *found[DETECTION], min_area),
        }
        return {task: makers[task]() for task in tasks}

    def remove_text(
        self,
        image: ImageLike,
        *,
        composite: str = "segmentation",
        threshold: float = THRESHOLD,
        region: Region | None = None,
        progress: Progress = _no_progress,
    ) -> TextRemoval:
        """Erase text; everything outside the change mask stays byte for byte what it was.

        Args:
            image, progress: as of `run`.
            composite: the change mask is the network's own `segmentation`, or where its picture
                shows a `difference` to the input; dilated by 5 pixels, with a soft edge of 3.
            threshold: of the segmentation, 0-1.
            region: erase here only: (H, W) mask, or box x1, y1, x2, y2 with the last two exclusive.
        """
        options = {"composite": composite, "threshold": threshold, "region": region}
        return self.run(image, [REMOVAL], progress=progress, **options)[REMOVAL]

    def segment_text(
        self,
        image: ImageLike,
        *,
        threshold: float = THRESHOLD,
        progress: Progress = _no_progress,
    ) -> TextSegmentation:
        """Find the pixels of text: those whose mean over the channels is above `threshold` (0-1).

        `image` and `progress` as of `run`.
        """
        options = {"threshold": threshold, "progress": progress}
        return self.run(image, [SEGMENTATION], **options)[SEGMENTATION]

    def detect_tampering(
        self, image: ImageLike, *, min_area: int = MIN_AREA, progress: Progress = _no_progress
    ) -> TamperingDetection:
        """Tell genuine text from tampered text.

        `image` and `progress` as of `run`; regions smaller than `min_area` pixels are left out of
        the list.
        """
        options = {"min_area": min_area, "progress": progress}
        return self.run(image, [DETECTION], **options)[DETECTION]

    def num_windows(self, size: tuple[int, int]) -> int:
        """Windows of a picture of (height, width), for a progress bar."""
        if self.mode == "resize":
            return 1
        return sum(count_windows(*each, self.window) for each in (size, *self._halves(size)))

    def _gather(
        self, rgb: np.ndarray, tasks: list[str], threshold: float, progress: Progress
    ) -> dict[str, Any]:
        """Outputs in the types that results keep, by task: the painted picture, (probability,
        mask), (classes, scores).
        """
        size = rgb.shape[:2]
        scale = np.float32(np.iinfo(rgb.dtype).max)
        found: dict[str, Any] = {REMOVAL: np.empty_like(rgb) if REMOVAL in tasks else None}
        for task in (SEGMENTATION, DETECTION):
            found[task] = [np.empty(size, np.uint8) for _ in range(2)] if task in tasks else None
        for top, bands in self._run(rgb, tasks, progress):
            for task, band in bands.items():
                rows = slice(top, top + len(band))
                if task == REMOVAL:
                    found[task][rows] = np.rint(band * scale)
                elif task == SEGMENTATION:
                    mean = band.mean(axis=2)
                    found[task][0][rows] = np.rint(mean * 255)
                    found[task][1][rows] = np.where(mean > threshold, 255, 0)
                else:
                    share = band.max(axis=2) / np.maximum(band.sum(axis=2), 1e-6)
                    found[task][0][rows] = band.argmax(axis=2)
                    found[task][1][rows] = np.rint(share * 255)
        return found

    def _run(
        self, rgb: np.ndarray, tasks: list[str], progress: Progress
    ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """Outputs of the network for the whole picture in bands by task, clamped to 0-1."""
        for top, band in self._bands(rgb, tasks, progress):
            yield top, {task: band[..., 3 * i : 3 * i + 3] for i, task in enumerate(tasks)}

    def _bands(self, rgb: np.ndarray, tasks: list[str], progress: Progress) -> Bands:
        """Bands with three channels for every task."""
        height, width = rgb.shape[:2]
        if self.mode == "resize":
            size = (self.resize_side, self.resize_side)
            yield from enlarge(run_resized(rgb, self.predict_windows(tasks), size), height, width)
            progress(1)
            return
        # Coarse to fine; text is found by the segmentation, whether asked for or not.
        asked = [*tasks, *({SEGMENTATION} - set(tasks))]
        coarse = None
        pictures = [rgb]
        for size in self._halves(rgb.shape[:2]):
            pictures.append(cv2.resize(pictures[-1], size[::-1], interpolation=cv2.INTER_AREA))
        for smaller in reversed(pictures[1:]):
            seen = np.empty((*smaller.shape[:2], 3 * len(asked)), np.float16)
            for top, band in self._level(smaller, asked, coarse, progress):
                seen[top : top + len(band)] = band
            coarse = self._large_text(seen, asked.index(SEGMENTATION))
        yield from self._level(rgb, tasks, coarse, progress)

    def _halves(self, size: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """A half, a quarter, ... of (height, width), down to `LEAST` of a window."""
        while max(size) > LEAST * self.window:
            size = -(-size[0] // 2), -(-size[1] // 2)
            yield size

    def _level(
        self, rgb: np.ndarray, tasks: list[str], coarse: Coarse | None, progress: Progress
    ) -> Bands:
        """Output at one size, and for large text that of the `coarse` sizes in its place."""
        height, width = rgb.shape[:2]
        kinds = np.repeat([0 if task == REMOVAL else 1 for task in tasks], 3)
        for top, band in tile(
            rgb, self.predict_windows(tasks), self.window, self.batch_size, progress
        ):
            if coarse is None:
                yield top, band
                continue
            weights, seen = coarse
            share = enlarge_rows(weights, top, len(band), height, width)[:, :, kinds]
            other = enlarge_rows(seen[..., : band.shape[2]], top, len(band), height, width)
            yield top, band + share * (other - band) if share.any() else band

    def _large_text(self, seen: np.ndarray, place: int) -> Coarse | None:
        """Weights (h, w, 2) float32 of the large text in an output (h, w, C), and the output; None
        without large text.

        A window inside a huge letter sees nothing but a plain area, and networks know letters of
        the size best that they have seen most. The first weight is for the picture without text,
        the second for classes, which are the mean with those of the finer size, whose edges are
        sharper, unless the letters are too large here, too.

        `place`: of the segmentation among the tasks.
        """
        mean = seen[..., 3 * place : 3 * place + 3].mean(axis=2, dtype=np.float32)
        text = (mean > THRESHOLD).astype(np.uint8)
        limit = min(LARGE, self.window / 2) / 2  # what is larger here is LARGE at twice the size
        _, labels, stats, _ = cv2.connectedComponentsWithStats(text)
        sides = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
        large = sides.min(axis=1) > limit
        large[0] = False  # the background
        if not large.any():
            return None
        # A narrow letter is as high as its neighbours.
        near = np.unique(labels[_grown(large[labels], limit / 2) > 0])
        large[near] |= sides[near].max(axis=1) > limit
        large[0] = False
        huge = large & (sides.min(axis=1) > 2 * limit)
        grown = [_grown(kind[labels], limit / 4) for kind in (large, huge)]
        return cv2.blur(np.dstack((grown[0], 0.5 * (grown[0] + grown[1]))), (3, 3)), seen

    def predict_windows(self, tasks: list[str]) -> Predict:
        """What runs windows (B, 3, h, w) and returns (B, 3 * T, h, w), clamped to 0-1."""

        @torch.inference_mode()
        def predict(images: Tensor) -> Tensor:
            with dist.autocast(self.device, self.dtype):
                outputs = self.network(images.to(self.device), [tasks] * len(images))[-1]
            outputs = outputs.flatten(1, 2).float()
            if not outputs.isfinite().all():
                raise ValueError(
                    "the network's output is not finite: its weights are damaged, or float16 is "
                    "too narrow for them (--dtype float32)"
                )
            return outputs.clamp(0, 1)

        return predict


def _grown(mask: np.ndarray, reach: float) -> np.ndarray:
    """(H, W) bool -> float32, 1 also within `reach` pixels of the mask."""
    side = 2 * round(reach) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.dilate(mask.astype(np.float32), kernel)


def _removal(
    picture: Picture,
    rgb: np.ndarray,
    found: dict[str, Any],
    composite: str,
    allowed: np.ndarray | None,
) -> TextRemoval:
    by_text = composite == "segmentation"
    changed = found[SEGMENTATION][1] if by_text else _difference(rgb, found[REMOVAL])
    mask = change_mask(changed, allowed)
    return TextRemoval(blend(picture, found[REMOVAL], mask), mask, picture)


def _detection(
    picture: Picture, classes: np.ndarray, scores: np.ndarray, min_area: int
) -> TamperingDetection:
    return TamperingDetection(classes, scores, find_regions(classes, scores, min_area), picture)


def _check_arguments(tasks: Sequence[str], composite: str, threshold: float) -> None:
    unknown = sorted({tasks} if isinstance(tasks, str) else set(tasks) - set(TASKS))
    if unknown or not tasks:
        raise ValueError(f"tasks are {unknown or 'none'}, expected some of {TASKS}")
    if composite not in COMPOSITES:
        raise ValueError(f"unknown composite {composite!r}, expected one of {COMPOSITES}")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}, expected 0 to 1")


def find_weights(weights: str | Path | None) -> Path:
    """Path of weights; a URL is downloaded once. Raises ValueError where there are none."""
    if weights is None:
        if DEFAULT_WEIGHTS.exists():
            return DEFAULT_WEIGHTS
        raise ValueError(
            f"{DEFAULT_WEIGHTS}: no such file; name other weights, a file or URL, with --weights"
        )
    if urlparse(str(weights)).scheme not in ("http", "https", "file"):
        return Path(weights)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    digest = hashlib.sha256(str(weights).encode()).hexdigest()[:8]  # names repeat, URLs do not
    path = folder / f"{digest}-{os.path.basename(urlparse(str(weights)).path)}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(str(weights), str(path))
        except (OSError, ValueError) as error:
            raise ValueError(f"{weights}: cannot be downloaded ({error})") from None
    return path


def change_mask(changed: np.ndarray, allowed: np.ndarray | None) -> np.ndarray:
    """Weights (H, W) uint8 of new pixels around the changed ones; 0 where nothing is `allowed`."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * DILATION + 1,) * 2)
    mask = cv2.dilate(changed, kernel)
    mask = cv2.blur(mask, (FEATHER, FEATHER))
    if allowed is not None:
        mask[allowed == 0] = 0
    return mask


def _difference(rgb: np.ndarray, painted: np.ndarray) -> np.ndarray:
    """(H, W) uint8, 255 where the network changed a colour on purpose; single pixels are noise."""
    changed = np.empty(rgb.shape[:2], np.uint8)
    limit = DIFFERENCE * np.iinfo(rgb.dtype).max
    for rows in row_bands(len(rgb)):
        distance = np.abs(rgb[rows].astype(np.float32) - painted[rows]).max(axis=2)
        changed[rows] = np.where(distance > limit, 255, 0)
    return cv2.morphologyEx(changed, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))


def region_mask(
    region: np.ndarray | tuple[int, int, int, int], size: tuple[int, int]
) -> np.ndarray:
    """Mask (H, W) uint8 of a region, see `Predictor.remove_text`; ValueError outside the image."""
    height, width = size
    if isinstance(region, np.ndarray):
        if region.shape != (height, width):
            shown = " x ".join(str(n) for n in region.shape[1::-1])
            raise ValueError(f"the region mask is {shown}, the image {width} x {height}")
        return region
    left, top, right, bottom = region
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        box = ",".join(str(n) for n in region)
        raise ValueError(f"region {box} is not inside the image of {width} x {height}")
    mask = np.zeros(size, np.uint8)
    mask[top:bottom, left:right] = 255
    return mask
