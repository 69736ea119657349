"""A model folded for inference: fewer convolutions, and nothing computed from weights alone."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.swin import SwinBlock, WindowAttention, cosine_attention
from models.upocr import UPOCR


class FoldedLateral(nn.Module):
    """What a lateral connection computes, borders and biases included, in two 3 x 3 convolutions.

    The first bias goes through the zero padding of the first 3 x 3 convolution: at the border
    fewer of its taps count. A channel of ones, padded with zeros as well, carries it.

    Args:
        lateral: a 1 x 1, two 3 x 3 and a 1 x 1 convolution, see `models.decoder`.
    """

    def __init__(self, lateral: nn.Sequential) -> None:
        super().__init__()
        before, first, second, after = (
            (conv.weight.detach().double(), conv.bias.detach().double()) for conv in lateral
        )
        # (2C, C + 1, 3, 3): the weights of the 1 x 1 convolution, and its bias as one more input.
        inputs = torch.cat((before[0].flatten(1), before[1][:, None]), dim=1)  # (C, C + 1)
        narrow = torch.einsum("omyx,mi->oiyx", first[0], inputs)
        wide = torch.einsum("om,miyx->oiyx", after[0].flatten(1), second[0])  # (C, 2C, 3, 3)
        bias = after[0].flatten(1) @ second[1] + after[1]
        dtype = lateral[0].weight.dtype
        for name, value in (("narrow", narrow), ("wide", wide)):
            self.register_buffer(name, value.to(dtype).to(memory_format=torch.channels_last))
        self.register_buffer("narrow_bias", first[1].to(dtype))
        self.register_buffer("wide_bias", bias.to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> (B, C, H, W)."""
        ones = F.pad(x.permute(0, 2, 3, 1), (0, 1), value=1.0).permute(0, 3, 1, 2)
        x = F.conv2d(ones, self.narrow, self.narrow_bias, padding=1)
        return F.conv2d(x, self.wide, self.wide_bias, padding=1)


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
        qkv = self.qkv(windows)
        return self.proj(cosine_attention(qkv, self.scale, list(self.biases), grid))


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
