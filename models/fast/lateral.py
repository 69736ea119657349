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
    at the border. So it is the weight of one more input, a channel of ones, see `with_ones`.
    """
    w1, b1, w2, b2, *last = (parameter.to(dtype) for parameter in lateral.parameters())
    inputs = torch.cat((w1.flatten(1), b1[:, None]), dim=1)  # (C, C + 1)
    narrow = torch.einsum("omyx,mi->oiyx", w2, inputs)
    return narrow, b2, *_fold_last(*last)


def _fold_last(w3: Tensor, b3: Tensor, w4: Tensor, b4: Tensor) -> tuple[Tensor, Tensor]:
    wide = torch.einsum("om,miyx->oiyx", w4.flatten(1), w3)
    return wide, w4.flatten(1) @ b3 + b4


def fold_last(lateral: LateralConnection) -> nn.Conv2d:
    """The last two convolutions as one, folded in double precision."""
    *_, w3, b3, w4, b4 = (parameter.double() for parameter in lateral.parameters())
    folded = _convolution(*_fold_last(w3, b3, w4, b4))
    return folded.to(next(lateral.parameters()).dtype)


def with_ones(x: Tensor) -> Tensor:
    """x: (B, C, H, W) -> (B, C + 1, H, W), channels last."""
    return F.pad(x.permute(0, 2, 3, 1), (0, 1), value=1.0).permute(0, 3, 1, 2)


class FoldedLateral(nn.Sequential):
    """For inference: two convolutions, folded once.

    Args:
        lateral: its weights are folded in double precision.
    """

    def __init__(self, lateral: LateralConnection) -> None:
        narrow, narrow_bias, wide, wide_bias = fold(lateral, torch.float64)
        super().__init__(_convolution(narrow, narrow_bias), _convolution(wide, wide_bias))
        self.to(next(lateral.parameters()).dtype).to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> (B, C, H, W)."""
        return super().forward(with_ones(x))


def _convolution(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], kernel_size=3, padding=1, device="meta")
    conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(bias)
    return conv
