"""Sheets of samples: input, output and target of some images side by side."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from datasets import TextDataset
from tasks import TASKS
from utils.batch import to_unit
from utils.dist import autocast
from utils.image import contact_sheet, image_to_tensor, tensor_to_array

Row = tuple[np.ndarray, np.ndarray, np.ndarray]


def spread(dataset: TextDataset, number: int) -> list[int]:
    """At most `number` positions, spread over the data set from the first to the last image."""
    places = np.linspace(0, len(dataset) - 1, min(number, len(dataset)))
    return [int(place) for place in places.round()]


def sample_row(dataset: TextDataset, index: int, output: np.ndarray) -> Row:
    """Input, output and target of one image at the size of its file, black without a target.

    output: uint8 (H, W, 3) of any size. All are uint8 (H, W, 3) or (H, W).
    """
    images = {
        field: tensor_to_array(image_to_tensor(image))
        for field, image in dataset.read(dataset.items[index]).items()
    }
    height, width = images["image"].shape[:2]
    output = np.asarray(Image.fromarray(output).resize((width, height)))
    return images["image"], output, images.get("label", np.zeros_like(images["image"]))


def draw_rows(dataset: TextDataset, rows: Iterable[Row], path: Path) -> None:
    """Write rows of samples as PNG, under column titles."""
    contact_sheet(list(rows), path, ("Input", TASKS[dataset.task].title, "Target"))


@torch.no_grad()
def draw_samples(
    model: nn.Module,
    dataset: TextDataset,
    path: Path,
    number: int,
    *,
    device: torch.device,
    amp_dtype: torch.dtype | None,
) -> None:
    """Write a sheet with the outputs for at most `number` images, spread over the data set.

    The model is in evaluation mode and not wrapped for distributed training.
    """
    rows = []
    for index in spread(dataset, number):
        sample = dataset[index]
        with autocast(device, amp_dtype):
            output = model(to_unit(sample["image"][None], device), [sample["task"]])[-1][0]
        rows.append(sample_row(dataset, index, tensor_to_array(output)))
    draw_rows(dataset, rows, path)
