"""Swin Transformer V2 attention, block and stage, shared by the encoder and the decoder."""

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torchvision.ops import StochasticDepth

from models.attention import CHUNK_BYTES, cosine_attention, pays_in_parts
from models.mlp import Mlp

MASKED = -100.0  # added to the logits of two tokens that the shift made neighbours
MAX_LOGIT_SCALE = 100.0


def relative_coords_table(window_size: int, pretrained_window_size: int) -> Tensor:
    """Log-spaced relative coordinates of a window, (1, 2w - 1, 2w - 1, 2) float32 (Swin V2, section
    3.3).

    They are scaled by the window of the pre-training, so that a larger window extrapolates; 0
    stands for this window.
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


def shift_masks(window_size: int, shift: int) -> Tensor:
    """Pairs of tokens that must not see each other in the three kinds of cut windows, (3, N, N)
    bool.

    After the cyclic shift only the windows of the last row and of the last column hold parts of the
    map that are not neighbours. So four cases cover maps of any size: uncut (no mask), last row,
    last column, last corner.
    """
    part = (torch.arange(window_size) >= window_size - shift).long()
    row = part[:, None].expand(-1, window_size).flatten()
    column = part[None].expand(window_size, -1).flatten()
    regions = torch.stack((row, column, 2 * row + column))  # (3, N)
    return regions[:, :, None] != regions[:, None, :]


class WindowAttention(nn.Module):
    """Scaled cosine attention with a continuous log-spaced position bias inside square windows.

    Args:
        dim: channels.
        num_heads: heads; divides `dim`.
        window_size: side of a window in tokens.
        pretrained_window_size: window of the pre-training that the position bias is scaled to, 0
            for `window_size`.
        shift: how far the map was rolled before it was cut into windows, 0 for not at all.
    """

    relative_coords_table: Tensor
    relative_position_index: Tensor
    shift_masks: Tensor

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
        # Derived, so never saved. The table is made in float32 also for a float64 model: part of
        # the definition.
        constant = partial(self.register_buffer, persistent=False)
        constant(
            "relative_coords_table", relative_coords_table(window_size, pretrained_window_size)
        )
        constant("relative_position_index", relative_position_index(window_size))
        constant("shift_masks", shift_masks(window_size, shift) if shift else None)
        self._cached_bias: tuple[tuple, list[Tensor]] | None = None

    def forward(self, windows: Tensor, grid: tuple[int, int]) -> Tensor:
        """windows: (B * rows * columns, N, C), grid: (rows, columns) -> same shape."""
        qkv = F.linear(windows, self.qkv.weight, self.qkv_bias())
        biases = self._position_biases(qkv.dtype)
        return self.proj(cosine_attention(qkv, self.scale(), biases, grid))

    def qkv_bias(self) -> Tensor:
        """(3C,): of queries and values; keys have none."""
        return torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))

    def scale(self) -> Tensor:
        """(heads, 1, 1): what the cosines are multiplied by."""
        return self.logit_scale.clamp(max=math.log(MAX_LOGIT_SCALE)).exp()

    def _position_biases(self, dtype: torch.dtype) -> list[Tensor]:
        """`compute_biases`, once and then kept while gradients are off.

        A change of the weights, the device or the type renews them.
        """
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self.compute_biases(dtype)
        weights = [parameter for _, parameter in self.cpb_mlp.named_parameters()]
        # Tensors made in inference mode count no versions: nor can they change outside of it.
        versions = [None if p.is_inference() else p._version for p in weights]
        key = (dtype, *((p.data_ptr(), p.device) for p in weights), *versions)
        if self._cached_bias is None or self._cached_bias[0] != key:
            self._cached_bias = (key, self.compute_biases(dtype))
        return self._cached_bias[1]

    def train(self, mode: bool = True) -> "WindowAttention":
        """Also forgets the kept bias: edits through `.data`, as of moving averages, count no
        version.
        """
        self._cached_bias = None
        return super().train(mode)

    def compute_biases(self, dtype: torch.dtype) -> list[Tensor]:
        """Additive biases (1, heads, N, N): uncut; shifted also last row, last column, corner."""
        table = 16 * torch.sigmoid(self.cpb_mlp(self.relative_coords_table).flatten(0, 2))
        bias = table.t().index_select(1, self.relative_position_index.flatten())
        bias = bias.unflatten(1, self.relative_position_index.shape)[None]  # (1, heads, N, N)
        masks = self.shift_masks[:, None] * MASKED if self.shift else ()  # (3, 1, N, N)
        return [bias.to(dtype), *((bias + mask).to(dtype) for mask in masks)]


class LayerNorm(nn.LayerNorm):
    """Layer normalisation in the type of its weights, float32 under autocast.

    CUDA's autocast does so by itself. The kernels of a CPU are several times slower where the types
    of input and weights differ.
    """

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., C) -> (..., C)."""
        return super().forward(x.to(self.weight.dtype))


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
        # Official: the shift stays also where one window covers the map; timm drops it there.
        self.shift = window_size // 2 if shifted else 0
        self.window_size = window_size
        self.norm1 = LayerNorm(dim)
        self.attn = WindowAttention(dim, num_heads, window_size, pretrained_window_size, self.shift)
        self.norm2 = LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)
        self.drop_path = StochasticDepth(drop_path, mode="row")

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, H, W, C) -> (B, H, W, C)."""
        x = x + self.drop_path(self.norm1(self._windowed_attention(x)))
        if self.training or not pays_in_parts(x):  # a sample is dropped whole
            return self._with_mlp(x)
        tokens, out = x.flatten(0, 2), torch.empty_like(x, memory_format=torch.contiguous_format)
        size = max(1, CHUNK_BYTES // (self.mlp.fc1.out_features * x.element_size()))
        for part, result in zip(tokens.split(size), out.flatten(0, 2).split(size), strict=True):
            result.copy_(self._with_mlp(part))
        return out

    def _with_mlp(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.norm2(self.mlp(x)))

    def _windowed_attention(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        side = self.window_size
        # Official: zero tokens that fill the last windows take part in attention; timm shrinks the
        # window instead.
        grid = rows, columns = -(-height // side), -(-width // side)
        padding = (columns * side - width, rows * side - height)
        if torch.compiler.is_compiling() or any(padding):  # a pad of nothing would copy
            x = F.pad(x, (0, 0, 0, padding[0], 0, padding[1]))
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        x = self.attn(window_partition(x, side), grid)
        x = window_reverse(x, side, grid)
        if self.shift:
            x = x.roll((self.shift, self.shift), (1, 2))
        if torch.compiler.is_compiling() and not torch.is_grad_enabled():
            # As one gather, whose strides are the same for all sizes: no guard on the padding. Its
            # backward pass would scatter, so not in training.
            places = [torch.arange(n, device=x.device) for n in (height, width)]
            return x[:, places[0][:, None], places[1]]
        return x[:, :height, :width]


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


class SwinStage(nn.Module):
    """Blocks of one resolution, every second one shifted.

    Args:
        dim, num_heads, window_size, pretrained_window_size: see `WindowAttention`.
        drop_path: one probability a block; its length is the number of blocks.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: int,
        pretrained_window_size: int,
        drop_path: list[float],
    ) -> None:
        super().__init__()
        self.grad_checkpointing = False
        self.blocks = nn.ModuleList(
            SwinBlock(dim, num_heads, window_size, pretrained_window_size, index % 2 == 1, rate)
            for index, rate in enumerate(drop_path)
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, H, W, C) -> (B, H, W, C)."""
        for block in self.blocks:
            if self.grad_checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return x


def drop_path_schedule(rate: float, depths: list[int]) -> list[list[float]]:
    """Stochastic depth that grows linearly from 0 to `rate` over all blocks, one list a stage."""
    rates = torch.linspace(0, rate, sum(depths), dtype=torch.float64)
    return [stage.tolist() for stage in rates.split(list(depths))]
