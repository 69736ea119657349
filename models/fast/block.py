"""Blocks for inference: the MLP of a large map in parts that a cache holds, one compiled graph."""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.fast.windows import CHUNK_BYTES, pays_in_parts
from models.swin import SwinBlock, window_partition, window_reverse


class InferenceBlock(SwinBlock):
    """`SwinBlock` in evaluation mode."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, H, W, C) -> (B, H, W, C)."""
        x = x + self.norm1(self.windowed_attention(x))
        if not pays_in_parts(x):
            return x + self.norm2(self.mlp(x))
        tokens, out = x.flatten(0, 2), torch.empty_like(x, memory_format=torch.contiguous_format)
        size = max(1, CHUNK_BYTES // (self.mlp.fc1.out_features * x.element_size()))
        for part, result in zip(tokens.split(size), out.flatten(0, 2).split(size), strict=True):
            torch.add(part, self.norm2(self.mlp(part)), out=result)
        return out

    def windowed_attention(self, x: Tensor) -> Tensor:
        """x: (B, H, W, C) -> (B, H, W, C)."""
        if not torch.compiler.is_compiling():
            return super().windowed_attention(x)
        # One graph for all sizes: a pad without a condition, and a gather, whose strides do not
        # depend on the padding.
        height, width = x.shape[1:3]
        side, shift = self.window_size, self.shift
        grid = rows, columns = -(-height // side), -(-width // side)
        x = F.pad(x, (0, 0, 0, columns * side - width, 0, rows * side - height))
        x = window_partition(x.roll((-shift, -shift), (1, 2)), side)
        x = window_reverse(self.attn(x, grid), side, grid).roll((shift, shift), (1, 2))
        places = [torch.arange(n, device=x.device) for n in (height, width)]
        return x[:, places[0][:, None], places[1]]
