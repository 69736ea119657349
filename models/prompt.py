"""Task prompts: the only task-specific parameters of the unified model."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# A task name per image, T names per image, or rows of the prompt table, (B,) or (B, T) int64.
Tasks = Sequence[str] | Sequence[Sequence[str]] | Tensor


class TaskPrompt(nn.Module):
    """One learnable vector per task, added at every position of the 1/32 feature map.

    Args:
        tasks: task name of each row of the prompt table.
        dim: channels of the feature map.
    """

    def __init__(self, tasks: Sequence[str], dim: int) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.task_embedding = nn.Embedding(len(self.tasks), dim)

    @torch.no_grad()
    def silence(self) -> None:
        """Set all prompts to zero and freeze them: the ablation without task prompts."""
        self.task_embedding.weight.zero_().requires_grad_(False)

    def rows(self, tasks: Tasks, batch_size: int) -> Tensor:
        """Rows of the prompt table: (B,) int64 for B names, (B, T) for B lists of T names.

        A tensor of rows is returned unchanged. Raises ValueError for unknown tasks, and unless
        there is one entry per image.
        """
        if isinstance(tasks, str):
            raise ValueError(f"tasks is the string {tasks!r}, expected a list of task names")
        if len(tasks) != batch_size:
            raise ValueError(f"{len(tasks)} tasks for a batch of {batch_size} images")
        if not isinstance(tasks, Tensor):
            rows = self._rows_of_names([[t] if isinstance(t, str) else list(t) for t in tasks])
            return rows[:, 0] if all(isinstance(entry, str) for entry in tasks) else rows
        if tasks.dtype != torch.int64 or tasks.ndim not in (1, 2):
            shape = tuple(tasks.shape)
            raise ValueError(f"tasks is {tasks.dtype} {shape}, expected int64 (B,) or (B, T)")
        return tasks

    def _rows_of_names(self, names: list[list[str]]) -> Tensor:
        unknown = sorted({str(name) for entry in names for name in entry} - set(self.tasks))
        if unknown:
            trained = ", ".join(self.tasks)
            raise ValueError(f"the model was trained on {trained}; not on {', '.join(unknown)}")
        if len({len(entry) for entry in names}) > 1:
            raise ValueError("the images of a batch have different numbers of tasks")
        return torch.tensor([[self.tasks.index(name) for name in entry] for entry in names])

    def forward(self, features: Tensor, rows: Tensor) -> Tensor:
        """features: (B, H, W, C), rows: (B,) or (B, T) int64 -> (B, H, W, C) or (B * T, H, W, C).

        The T maps of one image follow one another.
        """
        try:
            rows_there = rows.to(features.device, non_blocking=True)
            prompts = self.task_embedding(rows_there)  # (B, C) or (B, T, C)
        except IndexError:
            last = len(self.tasks) - 1
            raise ValueError(f"unknown tasks {rows.tolist()}, expected rows 0 to {last}") from None
        prompts = prompts.reshape(len(features), -1, 1, 1, prompts.shape[-1])  # (B, T, 1, 1, C)
        return (features[:, None] + prompts).flatten(0, 1)
