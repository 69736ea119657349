"""TensorBoard and Weights & Biases: numbers and pictures of a training run, on request."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from utils.dist import is_main_process
from utils.files import atomic_path

WANDB_ID = "wandb_id.txt"


class Tracker(Protocol):
    """A place that draws curves and shows pictures; `step` counts all steps of the training."""

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to the curve of every name."""

    def picture(self, name: str, picture: np.ndarray, step: int) -> None:
        """Add an image, uint8 (H, W, 3) RGB."""

    def close(self) -> None:
        """Write what is left."""


def build_trackers(
    output_dir: Path, config: dict[str, Any], start_step: int, *, tensorboard: bool, wandb: bool
) -> list[Tracker]:
    """The trackers of a run, only in the main process.

    Args:
        output_dir: folder of the run.
        config: its options.
        start_step: steps before this run, 0 for a new one; points after them are replaced.
        tensorboard: write event files to `output_dir/tensorboard`.
        wandb: log to Weights & Biases; a continued training continues its run there.

    Raises ValueError for a package that is not installed.
    """
    if not is_main_process():
        return []
    trackers: list[Tracker] = []
    if tensorboard:
        trackers.append(TensorBoard(output_dir / "tensorboard", start_step))
    if wandb:
        trackers.append(WeightsAndBiases(output_dir, config, start_step))
    return trackers


class TensorBoard:
    """Event files in `folder`, from the first point or picture on."""

    def __init__(self, folder: Path, start_step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - optional
        except ImportError:
            raise ValueError(
                "--tensorboard true needs the package tensorboard: pip install tensorboard"
            ) from None
        self._type, self._folder, self._start_step = SummaryWriter, folder, start_step

    @cached_property
    def _writer(self) -> Any:
        # An interrupted run has written points after its last checkpoint: hide them. A new run
        # hides all of the one that it replaces.
        purge_step = self._start_step + 1 if self._start_step else 0
        return self._type(log_dir=str(self._folder), purge_step=purge_step)

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Add points, readable at once."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def picture(self, name: str, picture: np.ndarray, step: int) -> None:
        """Add an image."""
        self._writer.add_image(name, picture, step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """Every call has written all it got."""
        if "_writer" in vars(self):
            self._writer.close()


class WeightsAndBiases:
    """A run of the project `upocr`, whose identity is kept in the output folder."""

    def __init__(self, output_dir: Path, config: dict[str, Any], start_step: int) -> None:
        try:
            import wandb  # noqa: PLC0415 - optional
        except ImportError:
            raise ValueError("--wandb true needs the package wandb: pip install wandb") from None
        self._wandb, file = wandb, output_dir / WANDB_ID
        continued = file.read_text(encoding="utf-8").strip() if start_step and file.exists() else ""
        self._run = wandb.init(
            project="upocr",
            name=output_dir.name,
            dir=str(output_dir),
            config=config,
            id=continued or None,
            resume="allow",
        )
        with atomic_path(file) as path:
            path.write_text(f"{self._run.id}\n", encoding="utf-8")
        # An axis of our own: W&B drops points whose own step is not above all earlier ones, as
        # after an interruption.
        self._run.define_metric("*", step_metric="step")

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Add points."""
        self._run.log({"step": step, **values})

    def picture(self, name: str, picture: np.ndarray, step: int) -> None:
        """Add an image."""
        self._run.log({"step": step, name: self._wandb.Image(picture)})

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()


def flat_numbers(record: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Numbers of a nested dictionary, `{"a": {"b": 1}}` -> `{"a/b": 1}`; the rest is left out."""
    flat: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            flat |= flat_numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            flat[prefix + name] = value
    return flat
