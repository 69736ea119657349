"""Task prompts: the only task-specific weights of the unified model."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Position = row of the prompt table. Append only: reordering breaks checkpoints.
TASKS = ("text_removal", "tampered_text_detection", "text_segmentation")


def task_ids(tasks: Sequence[str] | Tensor, batch_size: int) -> Tensor:
    """Prompt rows of a batch, (B,) int64, from B task names or from a (B,) int64 tensor.

    Raises ValueError for an unknown task and for a count other than `batch_size`. Rows on an
    accelerator are not range-checked: that would wait for the device.
    """
    if isinstance(tasks, str):
        raise ValueError(
            f"tasks is the string {tasks!r}, expected a list of {batch_size} task names"
        )
    if len(tasks) != batch_size:
        raise ValueError(
            f"{len(tasks)} tasks for a batch of {batch_size} images, expected one each"
        )
    if not isinstance(tasks, Tensor):
        unknown = sorted({str(name) for name in tasks} - set(TASKS))
        if unknown:
            raise ValueError(f"unknown tasks {unknown}, expected some of {TASKS}")
        return torch.tensor([TASKS.index(name) for name in tasks])
    if tasks.dtype != torch.int64 or tasks.ndim != 1:
        raise ValueError(
            f"tasks is {tasks.dtype} {tuple(tasks.shape)}, expected int64 ({batch_size},)"
        )
    if tasks.device.type == "cpu" and not all(0 <= row < len(TASKS) for row in tasks.tolist()):
        raise ValueError(f"unknown tasks {tasks.tolist()}, expected rows 0 to {len(TASKS) - 1}")
    return tasks


class TaskPrompt(nn.Module):
    """One learnable embedding a task, added at every position of the 1/32 feature map.

    Args:
        dim: channels of the map.
        num_tasks: rows of the table.
    """

    def __init__(self, dim: int, num_tasks: int = len(TASKS)) -> None:
        super().__init__()
        self.task_embedding = nn.Embedding(num_tasks, dim)

    def forward(self, features: Tensor, rows: Tensor) -> Tensor:
        """features: (B, H, W, C), rows: (B,) int64 -> (B, H, W, C)."""
        prompt = self.task_embedding(rows.to(features.device))  # (B, C)
        return features + prompt[:, None, None]
