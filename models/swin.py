"""Swin Transformer V2: window attention, block and stage, shared by the encoder and the decoder."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

MASKED = -100.0  # added to the scores of two tokens that only the cyclic shift made neighbours
MAX_LOGIT_SCALE = 100.0


class WindowAttention(nn.Module):
    """Scaled cosine attention with a continuous log-spaced position bias (Swin V2, section 3).

    Args:
        dim: channels.
        num_heads: heads; divides `dim`.
        window_size: side of a window in tokens.
        pretrained_window_size: window of the pre-training, which the position bias is scaled to;
            0 for `window_size`.
        shift: tokens by which the map was rolled before it was cut into windows.
    """

    relative_coords_table: Tensor
    relative_position_index: Tensor

    def __init__(
        self, dim: int, num_heads: int, window_size: int, pretrained_window_size: int, shift: int
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window_size = window_size
        self.shift = shift
        self.logit_scale = nn.Parameter(torch.full((num_heads, 1, 1), 10.0).log())
        self.q_bias = nn.Parameter(torch.zeros(dim))
        self.v_bias = nn.Parameter(torch.zeros(dim))
        self.cpb_mlp = nn.Sequential(
            nn.Linear(2, 512), nn.ReLU(inplace=True), nn.Linear(512, num_heads, bias=False)
        )
        self.qkv = nn.Linear(dim, dim * 3, bias=False)
        self.proj = nn.Linear(dim, dim)
        # Derived, so never saved. Official: the table is float32 also in a float64 model.
        table = relative_coords_table(window_size, pretrained_window_size)
        self.register_buffer("relative_coords_table", table, persistent=False)
        index = relative_position_index(window_size)
        self.register_buffer("relative_position_index", index, persistent=False)

    def forward(self, windows: Tensor, grid: tuple[int, int]) -> Tensor:
        """windows: (B * rows * columns, N, C), grid: (rows, columns) -> same shape."""
        qkv = F.linear(windows, self.qkv.weight, self.qkv_bias())
        q, k, v = qkv.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = F.normalize(q, dim=-1) * self.scale(), F.normalize(k, dim=-1)
        bias = self.position_bias()[None]  # (1, heads, N, N)
        if self.shift:
            mask = shift_mask(grid, self.window_size, self.shift, bias.device)
            bias = bias + mask[:, None].to(bias.dtype)
        # The windows of a map that differ in their bias count as further heads.
        q, k, v = (x.unflatten(0, (-1, len(bias))).flatten(1, 2) for x in (q, k, v))
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.flatten(0, 1), scale=1.0)
        x = x.unflatten(1, (len(bias), -1)).flatten(0, 1)  # (B * rows * columns, heads, N, D)
        return self.proj(x.transpose(1, 2).flatten(2))

    def qkv_bias(self) -> Tensor:
        """(3C,): queries and values have a bias, keys have none."""
        return torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))

    def scale(self) -> Tensor:
        """(heads, 1, 1): learnable factor of the cosines."""
        return self.logit_scale.clamp(max=math.log(MAX_LOGIT_SCALE)).exp()

    def position_bias(self) -> Tensor:
        """(heads, N, N): bias of every pair of tokens, from their log-spaced distance."""
        table = 16 * torch.sigmoid(self.cpb_mlp(self.relative_coords_table).flatten(0, 2))
        return table.t()[:, self.relative_position_index]


def relative_coords_table(window_size: int, pretrained_window_size: int) -> Tensor:
    """Log-spaced relative coordinates of a window, (1, 2w - 1, 2w - 1, 2) float32.

    Swin V2, section 3.3: scaled by the window of the pre-training, so that a larger window
    extrapolates.
    """
    span = torch.arange(-(window_size - 1), window_size, dtype=torch.float32)
    table = torch.stack(torch.meshgrid(span, span, indexing="ij"), dim=-1)[None]
    table = table / ((pretrained_window_size or window_size) - 1) * 8
    return torch.sign(table) * torch.log2(table.abs() + 1.0) / 3.0


def relative_position_index(window_size: int) -> Tensor:
    """Row of the flattened coordinates table for every pair of tokens of a window, (N, N) int64."""
    side = torch.arange(window_size)
    tokens = torch.stack(torch.meshgrid(side, side, indexing="ij")).flatten(1)  # (2, N)
    rows, columns = tokens[:, :, None] - tokens[:, None, :] + window_size - 1
    return rows * (2 * window_size - 1) + columns


def shift_mask(
    grid: tuple[int, int], window_size: int, shift: int, device: torch.device | None = None
) -> Tensor:
    """Mask of the scores of a shifted map of `grid` (rows, columns) windows, (windows, N, N).

    The shift wraps the first rows and columns of the map around to its end, where they share
    windows with tokens that they are not neighbours of.
    """
    places = (torch.arange(n * window_size, device=device) for n in grid)
    rows, columns = (place >= len(place) - shift for place in places)
    part = rows[:, None] + 2 * columns.long()  # (H, W)
    part = window_partition(part[None, :, :, None], window_size)[..., 0]  # (windows, N)
    return MASKED * (part[:, :, None] != part[:, None, :])


def window_partition(x: Tensor, side: int) -> Tensor:
    """(B, H, W, C), H and W multiples of `side` -> (B * rows * columns, side * side, C)."""
    rows, columns = x.shape[1] // side, x.shape[2] // side
    x = x.unflatten(2, (columns, side)).unflatten(1, (rows, side))
    # (B, rows, side, columns, side, C)
    return x.transpose(2, 3).flatten(3, 4).flatten(0, 2)


def window_reverse(windows: Tensor, side: int, grid: tuple[int, int]) -> Tensor:
    """The inverse of `window_partition` for a map of `grid` (rows, columns) windows."""
    x = windows.unflatten(1, (side, side)).unflatten(0, (-1, *grid))
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


class LayerNorm(nn.LayerNorm):
    """Layer normalisation in the type of its weights: float32, also under autocast.

    The autocast of some devices does so, of others not; here it is part of the definition.
    """

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., C) -> (..., C)."""
        return super().forward(x.to(self.weight.dtype))


class Mlp(nn.Module):
    """Two linear layers with GELU.

    Args:
        dim: channels in and out.
        hidden_dim: channels between.
    """

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., C) -> (..., C)."""
        return self.fc2(F.gelu(self.fc1(x)))


class SwinBlock(nn.Module):
    """Attention and MLP with residual post-normalisation (Swin V2, section 3.2).

    Args:
        dim, num_heads, window_size, pretrained_window_size: see `WindowAttention`.
        shifted: whether the windows are shifted by half a window.
        drop_path: probability that a sample skips a branch in training.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: int,
        pretrained_window_size: int,
        shifted: bool,
        drop_path: float,
    ) -> None:
        super().__init__()
        # Official: shifted even if one window covers the map; timm does not shift there.
        self.shift = window_size // 2 if shifted else 0
        self.window_size = window_size
        self.norm1 = LayerNorm(dim)
        self.attn = WindowAttention(dim, num_heads, window_size, pretrained_window_size, self.shift)
        self.norm2 = LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)
        self.drop_path = StochasticDepth(drop_path, mode="row")

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, H, W, C) -> (B, H, W, C)."""
        x = x + self.drop_path(self.norm1(self.windowed_attention(x)))
        return x + self.drop_path(self.norm2(self.mlp(x)))

    def windowed_attention(self, x: Tensor) -> Tensor:
        """Attention inside windows, shifted or not: x: (B, H, W, C) -> (B, H, W, C)."""
        height, width = x.shape[1:3]
        side = self.window_size
        if height % side or width % side:
            # Official: these zeros take part in attention; timm shrinks the window instead.
            x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        grid = x.shape[1] // side, x.shape[2] // side
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        x = window_reverse(self.attn(window_partition(x, side), grid), side, grid)
        if self.shift:
            x = x.roll((self.shift, self.shift), (1, 2))
        return x[:, :height, :width]


class SwinStage(nn.Module):
    """Blocks of one resolution, every second one shifted.

    Args:
        dim, num_heads, window_size, pretrained_window_size: see `WindowAttention`.
        drop_path: one probability per block; its length is the number of blocks.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: int,
        pretrained_window_size: int,
        drop_path: Sequence[float],
    ) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(
                SwinBlock(dim, num_heads, window_size, pretrained_window_size, index % 2 == 1, rate)
                for index, rate in enumerate(drop_path)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, H, W, C) -> (B, H, W, C)."""
        return self.blocks(x)


def drop_path_schedule(rate: float, depths: Sequence[int]) -> list[list[float]]:
    """Stochastic depth that grows linearly from 0 to `rate` over all blocks, one list per stage."""
    rates = torch.linspace(0, rate, sum(depths), dtype=torch.float64, device="cpu")
    return [stage.tolist() for stage in rates.split(list(depths))]
