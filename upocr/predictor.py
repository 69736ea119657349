"""The model for own images: pictures of any size and kind in, typed results out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from upocr.backends import Backend
from upocr.backends.choice import AUTO, load_backend
from upocr.composite import COMPOSITES, DILATION, MAX_DILATION, RegionLike, region_mask
from upocr.decisions import COMPONENT, DECISIONS
from upocr.download import DOWNLOADS, Downloads
from upocr.picture import MAX_PIXELS, Picture, as_picture
from upocr.results import (
    MIN_AREA,
    RESULTS,
    Options,
    Request,
    Result,
    TamperingDetection,
    TextRemoval,
    TextSegmentation,
)
from upocr.scales import half_sizes, multiscale
from upocr.tasks import TAMPERED_TEXT_DETECTION, TASKS, TEXT_REMOVAL, TEXT_SEGMENTATION
from upocr.tiling import (
    STRIDE,
    Blocks,
    Progress,
    count_windows,
    no_progress,
    run_resized,
    tile,
)

MODES = ("tile", "resize")
RESIZE_SIDE = 512  # Paper: 512 x 512 images

ImageLike = Picture | Image.Image | np.ndarray | str | Path


class UPOCR:
    """Runs the tasks of a model on pictures of any size; see `from_pretrained`.

    Args:
        backend: the network.
        window: side of a window in pixels, a multiple of 32; None for the size of the training
            images, which suits best.
        batch_size: windows per step.
        mode: `tile` works at full size in windows, `resize` on the whole picture resized to
            `resize_side` x `resize_side`.
        resize_side: see `mode`, in pixels.
        max_pixels: larger files are refused.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        window: int | None = None,
        batch_size: int = 4,
        mode: str = "tile",
        resize_side: int = RESIZE_SIDE,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        window = backend.image_size if window is None else window
        if mode not in MODES:
            raise ValueError(f"unknown mode {mode!r}, expected one of {', '.join(MODES)}")
        for name, side in (("window", window), ("resize_side", resize_side)):
            if side < STRIDE or side % STRIDE:
                raise ValueError(f"{name} is {side}, expected a positive multiple of {STRIDE}")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1")
        self.backend, self.window, self.batch_size = backend, window, batch_size
        self.mode, self.resize_side, self.max_pixels = mode, resize_side, max_pixels

    @classmethod
    def from_pretrained(
        cls,
        weights: str | Path | None = None,
        device: str = "auto",
        *,
        backend: str = AUTO,
        dtype: str = "auto",
        compile: bool = False,
        num_threads: int = 0,
        window: int | None = None,
        batch_size: int = 4,
        mode: str = "tile",
        resize_side: int = RESIZE_SIDE,
        max_pixels: int = MAX_PIXELS,
        downloads: Downloads = DOWNLOADS,
    ) -> "UPOCR":
        """Load weights.

        Args:
            weights: path or URL of a file of `tools.export`; in a clone also of a checkpoint, an
                official file or safetensors; None for the shipped `upocr_nano`.
            device: auto, cpu, mps, or a GPU by its name in PyTorch.
            backend: auto, torch, onnxruntime or openvino; auto is the fastest one that is there and
                can run the weights.
            dtype: auto, float32, bfloat16 or float16.
            compile: with `torch.compile`, which pays after many windows.
            num_threads: of the CPU; 0 for the choice of the back end.
            window, batch_size, mode, resize_side, max_pixels: see the class.
            downloads: time-out and encryption, if weights are a URL.

        Raises ValueError with one line for weights or devices that are missing or do not fit.
        """
        return cls(
            load_backend(backend, weights, device, dtype, compile, num_threads, downloads),
            window=window,
            batch_size=batch_size,
            mode=mode,
            resize_side=resize_side,
            max_pixels=max_pixels,
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks that the model was trained on."""
        return self.backend.tasks

    def run(
        self,
        image: ImageLike,
        tasks: Sequence[str] | None = None,
        *,
        composite: str | None = None,
        threshold: float | None = None,
        region: RegionLike | None = None,
        dilation: int = DILATION,
        decision: str = COMPONENT,
        min_area: int = MIN_AREA,
        progress: Progress = no_progress,
    ) -> dict[str, Result]:
        """Run several tasks on one picture; the encoder sees every window once for all of them.

        Args:
            image: a path, a Pillow image, an RGB array (H, W, 3) uint8, or a `Picture`.
            tasks: names; None for all tasks of the model.
            composite, region, dilation: see `remove_text`.
            threshold: see `segment_text`.
            decision: `component` decides per word or stroke group, and the tasks of the model check
                each other; `pixel` keeps the class that the network gives each pixel.
            min_area: see `segment_text` and `detect_tampering`.
            progress: called with the number of windows just finished.

        Returns the results by task. Raises ValueError for a wrong argument.
        """
        tasks, composite = self.resolve(tasks, composite)
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(f"threshold is {threshold}, expected 0 to 1")
        if not 0 <= dilation <= MAX_DILATION:
            raise ValueError(f"dilation is {dilation}, expected 0 to {MAX_DILATION}")
        if decision not in DECISIONS:
            expected = ", ".join(DECISIONS)
            raise ValueError(f"unknown decision {decision!r}, expected one of {expected}")
        picture = as_picture(image, max_pixels=self.max_pixels)
        allowed = None if region is None else region_mask(region, picture.size)
        rgb = picture.rgb()
        verdict = self.backend.verdict
        options = Options(composite, decision, allowed, dilation, threshold, verdict, min_area)
        requests = {
            task: Request(TASKS[task], picture, rgb, options)
            for task in self._with_sources(tasks, options)
        }
        kept = self._kept(rgb, requests, progress)
        results: dict[str, Result] = {}
        for task, request in requests.items():
            results[task] = RESULTS[task].build(request, kept[task], results)
        return {task: results[task] for task in tasks}

    def run_many(
        self, images: Iterable[ImageLike], tasks: Sequence[str] | None = None, **options: Any
    ) -> Iterator[dict[str, Result]]:
        """Run several tasks on several pictures and yield the results of each, in order.

        The next picture is read while the network works on this one, and no more than two are in
        memory, so the pictures may be as many as a generator gives.

        Args:
            images: see `run`.
            tasks, options: see `run`.
        """
        with ThreadPoolExecutor(1) as reader:
            waiting: Future[Picture] | None = None
            for image in images:
                following = reader.submit(as_picture, image, max_pixels=self.max_pixels)
                if waiting is not None:
                    yield self.run(waiting.result(), tasks, **options)
                waiting = following
            if waiting is not None:
                yield self.run(waiting.result(), tasks, **options)

    def remove_text(
        self,
        image: ImageLike,
        *,
        composite: str | None = None,
        threshold: float | None = None,
        region: RegionLike | None = None,
        dilation: int = DILATION,
        decision: str = COMPONENT,
        progress: Progress = no_progress,
    ) -> TextRemoval:
        """Erase text; every pixel outside the change mask stays byte for byte the same.

        Args:
            image, decision, progress: see `run`.
            composite: the change mask is the model's `segmentation` or the `difference` between
                input and output, dilated, with a soft edge of 3 pixels; None for the segmentation
                if the model has that task.
            threshold: of the segmentation, see `segment_text`.
            region: the part to erase: (H, W) mask, or box x1, y1, x2, y2 with the last two
                exclusive.
            dilation: reach of the change mask around text, 0 to 100 pixels.
        """
        task = TEXT_REMOVAL.name
        found = self.run(
            image,
            [task],
            composite=composite,
            threshold=threshold,
            region=region,
            dilation=dilation,
            decision=decision,
            progress=progress,
        )
        return cast(TextRemoval, found[task])

    def segment_text(
        self,
        image: ImageLike,
        *,
        threshold: float | None = None,
        decision: str = COMPONENT,
        min_area: int = MIN_AREA,
        progress: Progress = no_progress,
    ) -> TextSegmentation:
        """Segment text: pixels whose channel mean exceeds `threshold` (0-1, default 0.4).

        Words below `min_area` pixels are not listed. `image`, `decision` and `progress`: see `run`.
        """
        task = TEXT_SEGMENTATION.name
        found = self.run(
            image,
            [task],
            threshold=threshold,
            decision=decision,
            min_area=min_area,
            progress=progress,
        )
        return cast(TextSegmentation, found[task])

    def detect_tampering(
        self,
        image: ImageLike,
        *,
        decision: str = COMPONENT,
        min_area: int = MIN_AREA,
        progress: Progress = no_progress,
    ) -> TamperingDetection:
        """Tell genuine text from tampered text; regions below `min_area` pixels are not listed.

        `image`, `decision` and `progress`: see `run`.
        """
        task = TAMPERED_TEXT_DETECTION.name
        found = self.run(image, [task], decision=decision, min_area=min_area, progress=progress)
        return cast(TamperingDetection, found[task])

    def resolve(
        self, tasks: Sequence[str] | None, composite: str | None
    ) -> tuple[tuple[str, ...], str]:
        """Fill in the defaults of `run`; ValueError for a task or composite the model lacks."""
        names = self.tasks if tasks is None else tasks
        if isinstance(names, str) or not names:
            raise ValueError(f"tasks is {names!r}, expected a list of names")
        if missing := [name for name in names if name not in self.tasks]:
            raise ValueError(
                f"the model was trained on {', '.join(self.tasks)}; not on {', '.join(missing)}"
            )
        if unknown := [name for name in names if name not in RESULTS]:
            raise ValueError(f"the module that registers {unknown[0]!r} is missing (--task_module)")
        can_segment = TEXT_SEGMENTATION.name in self.tasks
        composite = composite or ("segmentation" if can_segment else "difference")
        if composite not in COMPOSITES:
            expected = ", ".join(COMPOSITES)
            raise ValueError(f"unknown composite {composite!r}, expected one of {expected}")
        if composite == "segmentation" and not can_segment:
            raise ValueError(
                f"composite segmentation needs the task {TEXT_SEGMENTATION.name}, the model was "
                f"trained on {', '.join(self.tasks)}"
            )
        return tuple(names), composite

    def _with_sources(self, tasks: Sequence[str], options: Options) -> list[str]:
        """Tasks and those that they draw on, which come first."""
        found: dict[str, None] = {}
        for task in tasks:
            sources = [name for name in RESULTS[task].sources(options) if name in self.tasks]
            found |= dict.fromkeys([*self._with_sources(sources, options), task])
        return list(found)

    def num_windows(self, size: tuple[int, int]) -> int:
        """Number of windows of a picture of (height, width), for a progress bar."""
        if self.mode == "resize":
            return 1
        sizes = [size]
        if TEXT_SEGMENTATION.name in self.tasks:
            sizes += half_sizes(size, self.window)
        return sum(count_windows(*each, self.window) for each in sizes)

    def _kept(
        self, rgb: np.ndarray, requests: Mapping[str, Request], progress: Progress
    ) -> dict[str, list[np.ndarray]]:
        """What the results keep of the outputs, (H, W, ...) arrays by task."""
        kept: dict[str, list[np.ndarray]] = {}
        for rows, columns, block in self._blocks(rgb, list(requests), progress):
            for index, (task, request) in enumerate(requests.items()):
                output = block[:, :, 3 * index : 3 * index + 3]
                parts = RESULTS[task].reduce(request, output)
                if task not in kept:
                    kept[task] = [np.empty((*rgb.shape[:2], *x.shape[2:]), x.dtype) for x in parts]
                for whole, part in zip(kept[task], parts, strict=True):
                    whole[rows, columns] = part
        return kept

    def _blocks(self, rgb: np.ndarray, tasks: Sequence[str], progress: Progress) -> Blocks:
        """Output of the tasks, three channels each."""

        def level(picture: np.ndarray, tasks: Sequence[str]) -> Blocks:
            predict = partial(self.backend.predict, tasks=tasks)
            return tile(picture, predict, self.window, self.batch_size, progress)

        if self.mode == "resize":
            yield from run_resized(
                rgb, partial(self.backend.predict, tasks=tasks), self.resize_side
            )
            progress(1)
        elif TEXT_SEGMENTATION.name in self.tasks:
            yield from multiscale(rgb, tasks, level, self.window)
        else:
            yield from level(rgb, tasks)
