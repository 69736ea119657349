"""UPOCR: one encoder, one decoder, and a learnable prompt per task between them."""

from typing import Any

from torch import Tensor, nn

from models.decoder import Decoder
from models.encoder import Encoder
from models.prompt import TaskPrompt, Tasks

STRIDE = 32  # the sides of an image are multiples of it


class UPOCRNetwork(nn.Module):
    """Image and task in, image out: encoder, projection, task prompt, decoder (paper, figure 2).

    Args:
        encoder: the built encoder.
        decoder: the built decoder.
        task_prompt: the built prompt table.
        dim: channels of the 1/32 feature map.
        architecture: the numbers it was built from, for the checkpoint.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        task_prompt: TaskPrompt,
        dim: int,
        architecture: dict[str, Any],
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.encoder = encoder
        self.decoder = decoder
        self.proj = nn.Linear(dim, dim)
        self.task_prompt = task_prompt

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of the model, in the order of the prompt table."""
        return self.task_prompt.tasks

    def forward(self, images: Tensor, tasks: Tasks) -> list[Tensor]:
        """images: (B, 3, H, W) RGB in [0, 1], tasks: B names or (B,) rows -> three (B, 3, h, w).

        The outputs are RGB at 1/4, 1/2 and full resolution and may leave [0, 1]. The tasks of a
        batch may differ. For T names per image, or (B, T) rows, the outputs are (B, T, 3, h, w);
        the encoder, which sees no prompt, runs once per image. Raises ValueError for sides that
        are not multiples of 32 and for unknown tasks.
        """
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images have shape {tuple(images.shape)}, expected (B, 3, H, W)")
        height, width = images.shape[2:]
        if height % STRIDE or width % STRIDE or not height or not width:
            raise ValueError(f"images are {height} x {width}, expected multiples of {STRIDE}")
        rows = self.task_prompt.rows(tasks, len(images))
        *skips, coarsest = self.encoder(images)
        prompted = self.task_prompt(self.proj(coarsest), rows)
        outputs = self.decoder(prompted, skips[::-1])
        return outputs if rows.ndim == 1 else [x.unflatten(0, tuple(rows.shape)) for x in outputs]
