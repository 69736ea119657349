"""SwinV2 decoder: the prompted feature map to RGB images at 1/4, 1/2 and full resolution."""

from typing import Any

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
        # Official: the four chunks of the channels go to (0, 0), (1, 0), (0, 1) and (1, 1).
        x = x.unflatten(3, (2, 2, -1))  # (B, H, W, column, row, C / 4)
        x = x.permute(0, 1, 4, 2, 3, 5).flatten(3, 4).flatten(1, 2)  # (B, 2H, 2W, C / 4)
        return self.norm(self.upsample(x))


class DecoderStage(SwinStage):
    """Blocks, and the patch split that leads to the next resolution.

    Args:
        stage_args: see `SwinStage`.
        upsample: one token to four neighbours of half the channels.
    """

    def __init__(self, *stage_args: Any, upsample: PatchSplit) -> None:
        super().__init__(*stage_args)
        self.upsample = upsample

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, H, W, C) -> (B, 2H, 2W, C / 2)."""
        return self.upsample(super().forward(x))


class LateralConnection(nn.Sequential):
    """Path of an encoder feature to the decoder: four convolutions (paper, section 3.2).

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


class Decoder(nn.Module):
    """Five stages that halve the channels and double the resolution.

    Args:
        dim: channels of the 1/32 feature map.
        depths: blocks per stage.
        num_heads: heads per stage.
        window_size: side of a window in tokens.
        pretrained_window_size: see `models.swin.WindowAttention`.
        drop_path: stochastic depth of the last block.
    """

    FIRST_OUTPUT = 2  # the stage that ends at 1/4 resolution, the first with an output

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
        """x: (B * T, H, W, C), skips: (B, h, w, c) at 1/16, 1/8, 1/4 -> three (B * T, 3, h, w).

        The T maps of one image follow one another and share its skips. The outputs are RGB at
        1/4, 1/2 and full resolution; no activation follows, so they may leave [0, 1].
        """
        return self.decode(x, self.laterals(skips))

    def laterals(self, skips: list[Tensor]) -> list[Tensor]:
        """(B, h, w, c) each -> the features that the first stages add, (B, 1, h, w, c) each."""
        return [
            lateral(skip.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)[:, None]
            for lateral, skip in zip(self.lateral_connection_list, skips, strict=True)
        ]

    def decode(self, x: Tensor, laterals: list[Tensor]) -> list[Tensor]:
        """x: (B * T, H, W, C), laterals: (B, 1, h, w, c) each -> three (B * T, 3, h, w)."""
        outputs = []
        heads = (*self.intermediate_convs, self.output_conv)
        for index, stage in enumerate(self.layers):
            x = stage(x)
            if index < len(laterals):
                lateral = laterals[index]
                x = (x.unflatten(0, (len(lateral), -1)) + lateral).flatten(0, 1)
            if index >= self.FIRST_OUTPUT:
                normed = self.get_submodule(f"norm{index}")(x)
                outputs.append(heads[index - self.FIRST_OUTPUT](normed.permute(0, 3, 1, 2)))
        return outputs
