"""A peer to compare with: the same network, written as the paper's formulas."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.swin import MASKED, SwinBlock, WindowAttention, window_partition
from models.upocr import UPOCR


class NaiveAttention(nn.Module):
    """Window attention as usually written: no fused kernel, and nothing kept between calls.

    Args:
        attention: whose weights are used.
    """

    def __init__(self, attention: WindowAttention) -> None:
        super().__init__()
        self.inner = attention

    def forward(self, windows: Tensor, grid: tuple[int, int]) -> Tensor:
        """windows: (B * rows * columns, N, C), grid: (rows, columns) -> same shape."""
        inner = self.inner
        count, tokens, dim = windows.shape
        qkv = F.linear(windows, inner.qkv.weight, inner.qkv_bias())
        qkv = qkv.reshape(count, tokens, 3, inner.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)  # (BW, heads, N, D)
        cosines = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        scores = cosines * inner.scale() + self._position_bias()
        if inner.shift:
            mask = self._mask(grid)  # (rows * columns, N, N)
            scores = scores.unflatten(0, (-1, len(mask))) + mask[:, None]
            scores = scores.flatten(0, 1)
        attended = torch.softmax(scores, dim=-1).to(v.dtype) @ v
        return inner.proj(attended.transpose(1, 2).reshape(count, tokens, dim))

    def _position_bias(self) -> Tensor:
        inner = self.inner
        table = inner.cpb_mlp(inner.relative_coords_table).flatten(0, 2)
        index = inner.relative_position_index
        bias = table[index.flatten()].unflatten(0, index.shape)  # (N, N, heads)
        return 16 * torch.sigmoid(bias.permute(2, 0, 1).contiguous())

    def _mask(self, grid: tuple[int, int]) -> Tensor:
        side, shift = self.inner.window_size, self.inner.shift
        spans = []
        for cells in grid:
            place = torch.arange(cells * side)
            spans.append((place >= (cells - 1) * side).long() + (place >= cells * side - shift))
        regions = (3 * spans[0][:, None] + spans[1]).float()  # (H, W)
        of_token = window_partition(regions[None, :, :, None], side)  # (windows, N, 1)
        return (of_token != of_token.transpose(1, 2)) * MASKED


def naive_copy(model: nn.Module) -> nn.Module:
    """A copy of the model with `NaiveAttention` and lateral connections of four convolutions.

    Outputs are equal up to rounding.
    """
    naive = copy.deepcopy(model)
    if isinstance(naive, UPOCR):
        laterals = naive.decoder.lateral_connection_list
        naive.decoder.lateral_connection_list = nn.ModuleList(nn.Sequential(*x) for x in laterals)
    for block in naive.modules():
        if isinstance(block, SwinBlock):
            block.attn = NaiveAttention(block.attn)
    return naive
