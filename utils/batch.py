"""A training batch: written by the loader, moved by the engine, scored by the criterion."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Samples of one or several tasks.

    Args:
        images: (N, 3, S, S) RGB, uint8 0-255 from the loader, float32 in [0, 1] after `to`.
        labels: (N, 3, S, S) target pictures, like `images`.
        masks: (N, 1, S, S), like `images`: 255 or 1 for background, 0 for text; all background for
            tasks without masks.
        tasks: task name of each sample.
        names: file name of each sample without its suffix.
    """

    images: Tensor
    labels: Tensor
    masks: Tensor
    tasks: list[str]
    names: list[str]

    def __len__(self) -> int:
        return len(self.tasks)

    def __getitem__(self, rows: slice | list[int]) -> "Batch":
        """The samples at `rows`; a slice copies nothing."""
        places = range(len(self))[rows] if isinstance(rows, slice) else rows
        return Batch(
            self.images[rows],
            self.labels[rows],
            self.masks[rows],
            [self.tasks[place] for place in places],
            [self.names[place] for place in places],
        )

    def to(self, device: torch.device) -> "Batch":
        """The batch on `device`, with pixels as float32 in [0, 1]."""
        images, labels, masks = (
            to_unit(pixels, device) for pixels in (self.images, self.labels, self.masks)
        )
        return replace(self, images=images, labels=labels, masks=masks)

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory; called by the `DataLoader`."""
        images, labels, masks = (x.pin_memory() for x in (self.images, self.labels, self.masks))
        return replace(self, images=images, labels=labels, masks=masks)


def to_unit(pixels: Tensor, device: torch.device) -> Tensor:
    """uint8 (N, C, H, W) 0-255 -> float32 in [0, 1] on `device`."""
    return pixels.to(device, non_blocking=True).float().div_(255)
