"""Task prompts: the only task-specific weights of the unified model."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Position = row of the prompt table. Append only: reordering breaks checkpoints.
TASKS = ("text_removal", "tampered_text_detection", "text_segmentation")


# A name for every image, or the same number of names for every image, or rows (B,) or (B, T).
Tasks = Sequence[str] | Sequence[Sequence[str]] | Tensor


def task_ids(tasks: Tasks, batch_size: int) -> Tensor:
    """Prompt rows of a batch: (B,) int64 from B task names, (B, T) from B lists of T names.

    A tensor of rows comes back as it is. Raises ValueError for an unknown task and for a count
    other than `batch_size`. Rows on an accelerator are not range-checked: that would wait for the
    device.
    """
    if isinstance(tasks, str):
        raise ValueError(
            f"tasks is the string {tasks!r}, expected a list of {batch_size} task names"
        )
    if len(tasks) != batch_size:
        raise ValueError(
            f"{len(tasks)} tasks for a batch of {batch_size} images, expected one each"
        )
    return _check_rows(tasks) if isinstance(tasks, Tensor) else _rows_of_names(tasks)


def _rows_of_names(tasks: Sequence[str] | Sequence[Sequence[str]]) -> Tensor:
    names = [[entry] if isinstance(entry, str) else list(entry) for entry in tasks]
    unknown = sorted({str(name) for entry in names for name in entry} - set(TASKS))
    if unknown:
        raise ValueError(f"unknown tasks {unknown}, expected some of {TASKS}")
    if len({len(entry) for entry in names}) > 1:
        raise ValueError("the images of a batch have different numbers of tasks, expected the same")
    rows = torch.tensor([[TASKS.index(name) for name in entry] for entry in names])
    return rows.flatten() if all(isinstance(entry, str) for entry in tasks) else rows


def _check_rows(tasks: Tensor) -> Tensor:
    if tasks.dtype != torch.int64 or tasks.ndim not in (1, 2):
        raise ValueError(
            f"tasks is {tasks.dtype} {tuple(tasks.shape)}, expected int64 (B,) or (B, T)"
        )
    known = range(len(TASKS))
    readable = tasks.device.type == "cpu" and not torch.compiler.is_compiling()
    if readable and not all(row in known for row in tasks.flatten().tolist()):
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

    @torch.no_grad()
    def silence(self) -> None:
        """Make all prompts zero and keep them so: the network is then told nothing of the task."""
        self.task_embedding.weight.zero_().requires_grad_(False)

    def forward(self, features: Tensor, rows: Tensor) -> Tensor:
        """features: (B, H, W, C), rows: (B,) or (B, T) int64 -> (B, H, W, C) or (B * T, H, W,
        C).
        """
        rows = rows.to(features.device).reshape(len(features), -1)  # (B, T)
        prompts = self.task_embedding(rows)[:, :, None, None]  # (B, T, 1, 1, C)
        return (features[:, None] + prompts).flatten(0, 1)
