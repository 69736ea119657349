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
        dtype: of the position biases.
    """

    scale: Tensor
    biases: Tensor

    def __init__(self, attention: WindowAttention, dtype: torch.dtype) -> None:
        super().__init__()
        self.proj = attention.proj
        dim = attention.qkv.in_features
        self.qkv = nn.Linear(dim, 3 * dim, device="meta")
        self.qkv.weight = attention.qkv.weight
        self.qkv.bias = nn.Parameter(attention.qkv_bias())
        self.register_buffer("scale", attention.scale())
        self.register_buffer("biases", window_biases(attention)[:, None].to(dtype))

    def forward(self, windows: Tensor, grid: tuple[int, int]) -> Tensor:
        """windows: (B * rows * columns, N, C), grid: (rows, columns) -> same shape."""
        if not pays_in_parts(windows):
            return self._attend(windows, list(self.biases), grid)
        out = torch.empty_like(windows, dtype=self.proj.weight.dtype)
        for kind, part in window_parts(windows, self.biases[:, 0], grid):
            out[part] = self._attend(windows[part], [self.biases[kind]], grid)
        return out

    def _attend(self, windows: Tensor, biases: list[Tensor], grid: tuple[int, int]) -> Tensor:
        return self.proj(cosine_attention(self.qkv(windows), self.scale, biases, grid))


def cosine_attention(
    qkv: Tensor, scale: Tensor, biases: list[Tensor], grid: tuple[int, int]
) -> Tensor:
    """qkv: (BW, N, 3C), scale: (heads, 1, 1), biases: (1, heads, N, N) by kind -> (BW, N, C)."""
    q, k, v = qkv.unflatten(-1, (3, len(scale), -1)).permute(2, 0, 3, 1, 4)  # (BW, heads, N, D)
    q, k = (F.normalize(x, dim=-1) for x in (q, k))
    q, k = (q * scale).to(v.dtype), k.to(v.dtype)
    attend = attend_shifted if len(biases) > 1 else attend_uncut
    return attend(q, k, v, biases, grid).transpose(1, 2).flatten(2)


def attend_uncut(
    q: Tensor, k: Tensor, v: Tensor, biases: list[Tensor], grid: tuple[int, int]
) -> Tensor:
    """Attention with one bias for all windows: (BW, heads, N, D) each -> same shape."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=biases[0], scale=1.0)


def attend_shifted(
    q: Tensor, k: Tensor, v: Tensor, biases: list[Tensor], grid: tuple[int, int]
) -> Tensor:
    """Attention with a bias per kind of window: (BW, heads, N, D) each -> same shape.

    One call per kind, with one bias for all its windows: a bias for every window of the map would
    take far more memory and depend on the size of the map.
    """
    q, k, v = (x.unflatten(0, (-1, *grid)) for x in (q, k, v))  # (B, rows, columns, heads, N, D)
    uncut, last_row, last_column, corner = biases

    def part(rows: slice, columns: slice, bias: Tensor) -> Tensor:
        windows = [x[:, rows, columns] for x in (q, k, v)]
        out = attend_uncut(*(x.flatten(0, 2) for x in windows), [bias], grid)
        return out.unflatten(0, windows[0].shape[:3])

    def row_of_windows(rows: slice, inner: Tensor, last: Tensor) -> Tensor:
        end = part(rows, slice(-1, None), last)
        return torch.cat((part(rows, slice(-1), inner), end), 2) if grid[1] > 1 else end

    end = row_of_windows(slice(-1, None), last_row, corner)
    if grid[0] > 1:
        end = torch.cat((row_of_windows(slice(-1), uncut, last_column), end), 1)
    return end.flatten(0, 2)
