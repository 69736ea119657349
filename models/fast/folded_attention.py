"""Window attention for inference: all that depends on weights alone is computed in advance."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.fast.windows import pays_in_parts, places_by_kind, window_biases, window_parts
from models.swin import WindowAttention


class FoldedAttention(nn.Module):
    """`WindowAttention` that holds its position biases, its scale and its bias of q, k and v.

    Windows of one kind share one bias: a bias for every window of the map would take far more
    memory and depend on the size of the map.

    Args:
        attention: the attention it replaces, whose weights it shares.
    """

    scale: Tensor
    biases: Tensor

    def __init__(self, attention: WindowAttention) -> None:
        super().__init__()
        self.proj = attention.proj
        dim = attention.qkv.in_features
        self.qkv = nn.Linear(dim, 3 * dim, device="meta")
        self.qkv.weight = attention.qkv.weight
        self.qkv.bias = nn.Parameter(attention.qkv_bias())
        self.register_buffer("scale", attention.scale())
        self.register_buffer("biases", window_biases(attention))

    def forward(self, windows: Tensor, grid: tuple[int, int]) -> Tensor:
        """windows: (B * rows * columns, N, C), grid: (rows, columns) -> same shape."""
        parts: Iterable[tuple[int, slice | Tensor]]
        if pays_in_parts(windows):
            parts = window_parts(windows, self.biases, grid)
        elif len(self.biases) == 1:
            return self._attend(windows, self.biases)
        else:
            parts = enumerate(places_by_kind(windows, grid))
        out = torch.empty_like(windows, dtype=self.proj.weight.dtype)
        for kind, places in parts:
            out[places] = self._attend(windows[places], self.biases[kind, None])
        return out

    def _attend(self, windows: Tensor, bias: Tensor) -> Tensor:
        """windows: (n, N, C), bias: (1, heads, N, N) -> (n, N, C)."""
        qkv = self.qkv(windows).unflatten(-1, (3, len(self.scale), -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (n, heads, N, D)
        q, k = F.normalize(q, dim=-1) * self.scale, F.normalize(k, dim=-1)
        q, k = q.to(v.dtype), k.to(v.dtype)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
        return self.proj(x.transpose(1, 2).flatten(2))
