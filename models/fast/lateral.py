"""Lateral connections as two convolutions instead of four.

No activation separates the four, so two 3 x 3 convolutions compute the same, borders and biases
included, in two thirds of the arithmetic.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.decoder import LateralConnection

Folded = tuple[Tensor, Tensor, Tensor, Tensor]


def fold(lateral: LateralConnection, dtype: torch.dtype) -> Folded:
    """Weights and biases of the two convolutions: (2C, C + 1, 3, 3), (2C,), (C, 2C, 3, 3), (C,).

    The first bias passes the zero padding of the first 3 x 3 convolution: fewer of its taps count
    at the border. So it is the weight of one more input, see `folded_lateral`.
    """
    w1, b1, w2, b2, w3, b3, w4, b4 = (parameter.to(dtype) for parameter in lateral.parameters())
    inputs = torch.cat((w1.flatten(1), b1[:, None]), dim=1)  # (C, C + 1)
    narrow = torch.einsum("omyx,mi->oiyx", w2, inputs)
    wide = torch.einsum("om,miyx->oiyx", w4.flatten(1), w3)
    return narrow, b2, wide, w4.flatten(1) @ b3 + b4


def folded_lateral(x: Tensor, folded: Folded) -> Tensor:
    """x: (B, C, H, W), folded: see `fold` -> (B, C, H, W)."""
    narrow, narrow_bias, wide, wide_bias = folded
    # A channel of ones, padded with zeros as well, carries the first bias.
    ones = F.pad(x.permute(0, 2, 3, 1), (0, 1), value=1.0).permute(0, 3, 1, 2)
    return F.conv2d(F.conv2d(ones, narrow, narrow_bias, padding=1), wide, wide_bias, padding=1)


class FoldingLateral(LateralConnection):
    """For training: folds its weights in every step."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> (B, C, H, W)."""
        with torch.autocast(x.device.type, enabled=False):
            folded = fold(self, next(self.parameters()).dtype)
        return folded_lateral(x, folded)


class FoldedLateral(nn.Module):
    """For inference: folded once.

    Args:
        lateral: its weights are folded in double precision.
    """

    narrow: Tensor
    narrow_bias: Tensor
    wide: Tensor
    wide_bias: Tensor

    def __init__(self, lateral: LateralConnection) -> None:
        super().__init__()
        dtype = next(lateral.parameters()).dtype
        names = ("narrow", "narrow_bias", "wide", "wide_bias")
        for name, tensor in zip(names, fold(lateral, torch.float64), strict=True):
            layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
            self.register_buffer(name, tensor.to(dtype, memory_format=layout))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> (B, C, H, W)."""
        return folded_lateral(x, (self.narrow, self.narrow_bias, self.wide, self.wide_bias))
