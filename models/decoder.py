"""SwinV2 decoder: the prompted feature map to RGB pictures at 1/4, 1/2 and full resolution."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.swin import LayerNorm, SwinStage, drop_path_schedule


class PatchSplit(nn.Module):
    """The inverse of patch merging: one token to four neighbours of half its channels.

    Args:
        dim: channels in.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.upsample = nn.Linear(dim // 4, dim // 2, bias=False)
        self.norm = LayerNorm(dim // 2)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, H, W, C) -> (B, 2H, 2W, C / 2)."""
        x = x.unflatten(
            3, (2, 2, -1)
        )  # (B, H, W, column, row, C/4): chunks (0, 0), (1, 0), (0, 1), (1, 1)
        x = x.permute(0, 1, 4, 2, 3, 5).flatten(3, 4).flatten(1, 2)  # (B, 2H, 2W, C/4)
        return self.norm(self.upsample(x))


class DecoderStage(SwinStage):
    """Blocks and the split to the next resolution."""

    def __init__(self, *stage_args, upsample: PatchSplit) -> None:
        super().__init__(*stage_args)
        self.upsample = upsample

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, H, W, C) -> (B, 2H, 2W, C / 2)."""
        return self.upsample(super().forward(x))


class LateralConnection(nn.Sequential):
    """What an encoder feature passes before it is added.

    Paper: a 1 x 1, two 3 x 3 and a 1 x 1 convolution without activations between them. So two 3 x 3
    convolutions compute the same, borders and biases included, in two thirds of the work; their
    weights follow from those of the four.

    Args:
        dim: channels in and out.
    """

    def __init__(self, dim: int) -> None:
        super().__init__(
            nn.Conv2d(dim, dim, kernel_size=1),
            nn.Conv2d(dim, 2 * dim, kernel_size=3, padding=1),
            nn.Conv2d(2 * dim, 2 * dim, kernel_size=3, padding=1),
            nn.Conv2d(2 * dim, dim, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> (B, C, H, W)."""
        with torch.autocast(x.device.type, enabled=False):
            folded = self.fold(self[0].weight.dtype)
        return folded_lateral(x, *folded)

    def fold(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weights and biases of the two convolutions, (2C, C + 1, 3, 3), (2C,), (C, 2C, 3, 3),
        (C,).

        The first bias goes through the zero padding of the first 3 x 3 convolution: at the border
        fewer of its taps count. So it is the weight of one more input, see `folded_lateral`.
        """
        before, first, second, after = (
            (conv.weight.to(dtype), conv.bias.to(dtype)) for conv in self
        )
        inputs = torch.cat((before[0].flatten(1), before[1][:, None]), dim=1)  # (C, C + 1)
        narrow = torch.einsum("omyx,mi->oiyx", first[0], inputs)
        wide = torch.einsum("om,miyx->oiyx", after[0].flatten(1), second[0])
        return narrow, first[1], wide, after[0].flatten(1) @ second[1] + after[1]


def folded_lateral(
    x: Tensor, narrow: Tensor, narrow_bias: Tensor, wide: Tensor, wide_bias: Tensor
) -> Tensor:
    """(B, C, H, W) -> (B, C, H, W), weights as of `LateralConnection.fold`."""
    # A channel of ones, padded with zeros as well, carries the first bias.
    ones = F.pad(x.permute(0, 2, 3, 1), (0, 1), value=1.0).permute(0, 3, 1, 2)
    return F.conv2d(F.conv2d(ones, narrow, narrow_bias, padding=1), wide, wide_bias, padding=1)


class Decoder(nn.Module):
    """Five stages that halve the channels and double the resolution.

    Args:
        dim: channels of the 1/32 map.
        depths: blocks a stage.
        num_heads: heads a stage.
        window_size: side of a window in tokens.
        pretrained_window_size: see `models.swin.WindowAttention`.
        drop_path: stochastic depth of the last block.
    """

    FIRST_OUTPUT = 2  # the stage whose result, at 1/4 resolution, is the first to become a picture

    def __init__(
        self,
        dim: int,
        depths: list[int],
        num_heads: list[int],
        window_size: int,
        pretrained_window_size: int,
        drop_path: float,
    ) -> None:
        super().__init__()
        dims = [dim // 2**stage for stage in range(len(depths) + 1)]
        window = (window_size, pretrained_window_size)
        self.layers = nn.ModuleList(
            DecoderStage(*sizes, *window, rates, upsample=PatchSplit(sizes[0]))
            for *sizes, rates in zip(
                dims[:-1], num_heads, drop_path_schedule(drop_path, depths), strict=True
            )
        )
        self.output_conv = nn.Conv2d(dims[5], 3, kernel_size=3, padding=1)
        self.lateral_connection_list = nn.ModuleList(LateralConnection(dims[i]) for i in (1, 2, 3))
        self.intermediate_convs = nn.ModuleList(
            nn.Conv2d(dims[i], 3, kernel_size=3, padding=1) for i in (3, 4)
        )
        for stage in range(self.FIRST_OUTPUT, len(depths)):
            self.add_module(f"norm{stage}", LayerNorm(dims[stage + 1]))

    def forward(self, x: Tensor, skips: list[Tensor]) -> list[Tensor]:
        """x: (B * T, H, W, C) at 1/32; skips: features (B, h, w, c) at 1/16, 1/8, 1/4 -> three RGB
        maps (B * T, 3, s, s).

        T maps follow one another that share the skips of one image. The outputs are at 1/4, 1/2 and
        full resolution. No activation follows: they may leave [0, 1].
        """
        laterals = [
            lateral(skip.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)[:, None]  # (B, 1, h, w, c)
            for lateral, skip in zip(self.lateral_connection_list, skips, strict=True)
        ]
        count = len(x) // len(skips[0])
        if count == 1 or x.device.type != "cpu":
            return self._decode(x, laterals)
        # One map of each image at a time: what a CPU has at hand stays in its cache.
        maps = x.unflatten(0, (-1, count)).unbind(1)
        each = [self._decode(part, laterals) for part in maps]
        return [torch.stack(pictures, 1).flatten(0, 1) for pictures in zip(*each, strict=True)]

    def _decode(self, x: Tensor, laterals: list[Tensor]) -> list[Tensor]:
        outputs = []
        heads = (*self.intermediate_convs, self.output_conv)
        for index, stage in enumerate(self.layers):
            x = stage(x)
            if index < len(laterals):
                lateral = laterals[index]
                x = (x.unflatten(0, (len(lateral), -1)) + lateral).flatten(0, 1)
            if index >= self.FIRST_OUTPUT:
                picture = getattr(self, f"norm{index}")(x).permute(0, 3, 1, 2)
                outputs.append(heads[index - self.FIRST_OUTPUT](picture))
        return outputs
