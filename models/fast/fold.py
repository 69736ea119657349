"""A model folded for inference: fewer convolutions, and nothing computed from weights alone."""

import copy

import torch
from torch import Tensor, nn

from models.attention import cosine_attention, pays_in_parts, window_parts
from models.decoder import LateralConnection, folded_lateral
from models.swin import SwinBlock, WindowAttention
from models.upocr import UPOCR


class FoldedLateral(nn.Module):
    """A lateral connection with its folded weights at hand.

    Args:
        lateral: whose weights are folded, in double precision.
    """

    def __init__(self, lateral: LateralConnection) -> None:
        super().__init__()
        folded = (x.to(lateral[0].weight.dtype) for x in lateral.fold(torch.float64))
        narrow, self.narrow_bias, wide, self.wide_bias = map(nn.Buffer, folded)
        self.narrow, self.wide = (
            nn.Buffer(x.to(memory_format=torch.channels_last)) for x in (narrow, wide)
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> (B, C, H, W)."""
        return folded_lateral(x, self.narrow, self.narrow_bias, self.wide, self.wide_bias)


class FoldedAttention(nn.Module):
    """Window attention with its position biases, its scale and its bias of q, k and v at hand.

    Args:
        attention: whose weights are used.
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
        self.register_buffer("biases", torch.stack(attention.compute_biases(dtype)))

    def forward(self, windows: Tensor, grid: tuple[int, int]) -> Tensor:
        """windows: (B * rows * columns, N, C), grid: (rows, columns) -> same shape."""
        if not pays_in_parts(windows):
            return self._attend(windows, list(self.biases), grid)
        out = torch.empty_like(windows, dtype=self.proj.weight.dtype)
        for kind, part in window_parts(windows, self.biases, *grid):
            out[part] = self._attend(windows[part], [self.biases[kind]], grid)
        return out

    def _attend(self, windows: Tensor, biases: list[Tensor], grid: tuple[int, int]) -> Tensor:
        return self.proj(cosine_attention(self.qkv(windows), self.scale, biases, grid))


@torch.no_grad()
def fold_for_inference(model: UPOCR, dtype: torch.dtype = torch.float32) -> UPOCR:
    """A copy of the model in evaluation mode, for prediction alone.

    Its outputs are those of the model up to rounding; its parameters are no longer those of
    checkpoints.

    Args:
        model: stays as it is.
        dtype: of the weights of its matrix products, for use under an autocast of the same type,
            which then has nothing left to convert; the rest, as normalisation, stays in float32.
    """
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    laterals = folded.decoder.lateral_connection_list
    for index, lateral in enumerate(laterals):
        laterals[index] = FoldedLateral(lateral)
    for module in folded.modules():
        if isinstance(module, SwinBlock):
            module.attn = FoldedAttention(module.attn, dtype)
    for module in folded.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | FoldedLateral):
            module.to(dtype)
    return folded
