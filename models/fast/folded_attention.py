"""Window attention for inference: everything that depends on weights alone is at hand."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.fast.windows import pays_in_parts, window_biases, window_parts
from models.swin import WindowAttention


class FoldedAttention(nn.Module):
    """`WindowAttention` with its position biases, its scale and its bias of q, k and v computed.

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
        if not pays_in_parts(windows):
            return self._attend(windows, self.biases, grid)
        out = torch.empty_like(windows, dtype=self.proj.weight.dtype)
        for kind, part in window_parts(windows, self.biases, grid):
            out[part] = self._attend(windows[part], self.biases[kind, None], grid)
        return out

    def _attend(self, windows: Tensor, biases: Tensor, grid: tuple[int, int]) -> Tensor:
        qkv = self.qkv(windows).unflatten(-1, (3, len(self.scale), -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (BW, heads, N, D)
        q, k = (F.normalize(x, dim=-1) for x in (q, k))
        q, k = (q * self.scale).to(v.dtype), k.to(v.dtype)
        x = attend_shifted(q, k, v, biases, grid) if len(biases) > 1 else attend(q, k, v, biases)
        return self.proj(x.transpose(1, 2).flatten(2))


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """q, k, v: (BW, heads, N, D), bias: (1, heads, N, N) -> (BW, heads, N, D)."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)


def attend_shifted(
    q: Tensor, k: Tensor, v: Tensor, biases: Tensor, grid: tuple[int, int]
) -> Tensor:
    """q, k, v: (BW, heads, N, D), biases: (4, heads, N, N) by kind -> (BW, heads, N, D).

    One call per kind, with one bias for all its windows: a bias for every window of the map would
    take far more memory and depend on the size of the map.
    """
    q, k, v = (x.unflatten(0, (-1, *grid)) for x in (q, k, v))  # (B, rows, columns, heads, N, D)
    uncut, last_row, last_column, corner = biases.split(1)

    def part(rows: slice, columns: slice, bias: Tensor) -> Tensor:
        a, b, c = (x[:, rows, columns] for x in (q, k, v))
        out = attend(a.flatten(0, 2), b.flatten(0, 2), c.flatten(0, 2), bias)
        return out.unflatten(0, a.shape[:3])

    def row_of_windows(rows: slice, inner: Tensor, last: Tensor) -> Tensor:
        end = part(rows, slice(-1, None), last)
        return torch.cat((part(rows, slice(-1), inner), end), 2) if grid[1] > 1 else end

    end = row_of_windows(slice(-1, None), last_row, corner)
    if grid[0] > 1:
        end = torch.cat((row_of_windows(slice(-1), uncut, last_column), end), 1)
    return end.flatten(0, 2)
