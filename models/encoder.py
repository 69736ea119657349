"""SwinV2 encoder: an image to feature maps at 1/4, 1/8, 1/16 and 1/32 resolution."""

from typing import Any

from torch import Tensor, nn

from models.swin import LayerNorm, SwinStage, drop_path_schedule


class PatchEmbed(nn.Module):
    """Patches of 4 x 4 pixels to tokens.

    Args:
        dim: channels of a token.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=4, stride=4)
        self.norm = LayerNorm(dim)

    def forward(self, images: Tensor) -> Tensor:
        """images: (B, 3, H, W) -> (B, H / 4, W / 4, C)."""
        return self.norm(self.proj(images).permute(0, 2, 3, 1))


class PatchMerging(nn.Module):
    """Four neighbours to one token of twice the channels.

    Args:
        dim: channels in.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = LayerNorm(2 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, H, W, C), H and W even -> (B, H / 2, W / 2, 2C)."""
        # Official: the neighbours (0, 0), (1, 0), (0, 1), (1, 1) are concatenated in this order.
        x = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # (B, H / 2, row, W / 2, column, C)
        return self.norm(self.reduction(x.permute(0, 1, 3, 4, 2, 5).flatten(3)))


class EncoderStage(SwinStage):
    """Blocks, and the patch merging that leads to the next resolution.

    Args:
        stage_args: see `SwinStage`.
        downsample: four neighbours to one token of twice the channels; None in the last stage.
    """

    def __init__(self, *stage_args: Any, downsample: PatchMerging | None) -> None:
        super().__init__(*stage_args)
        self.downsample = downsample


class SwinBackbone(nn.Module):
    """Four stages that double the channels and halve the resolution.

    Args:
        embed_dim: channels of the first stage.
        depths: blocks per stage.
        num_heads: heads per stage.
        window_size: side of a window in tokens.
        pretrained_window_size: see `models.swin.WindowAttention`.
        drop_path: stochastic depth of the last block.
    """

    def __init__(
        self,
        embed_dim: int,
        depths: list[int],
        num_heads: list[int],
        window_size: int,
        pretrained_window_size: int,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(embed_dim)
        self.layers = nn.ModuleList()
        window = (window_size, pretrained_window_size)
        dims = [embed_dim * 2**stage for stage in range(len(depths))]
        for dim, heads, rates in zip(
            dims, num_heads, drop_path_schedule(drop_path, depths), strict=True
        ):
            downsample = PatchMerging(dim) if dim != dims[-1] else None
            self.layers.append(EncoderStage(dim, heads, *window, rates, downsample=downsample))
        for stage, dim in enumerate(dims):
            self.add_module(f"norm{stage}", LayerNorm(dim))

    def forward(self, images: Tensor) -> list[Tensor]:
        """images: (B, 3, H, W) -> features (B, H / s, W / s, C * s / 4) for s in 4, 8, 16, 32."""
        x = self.patch_embed(images)
        features = []
        for index, stage in enumerate(self.layers):
            x = stage(x)
            features.append(self.get_submodule(f"norm{index}")(x))
            assert isinstance(stage, EncoderStage)
            if stage.downsample is not None:
                x = stage.downsample(x)  # of the map before its norm
        return features


class Encoder(nn.Module):
    """Holder of the backbone: the official weights are named `encoder.backbone.*`.

    Args:
        backbone: the built backbone.
    """

    def __init__(self, backbone: SwinBackbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> list[Tensor]:
        """images: (B, 3, H, W) -> four feature maps, fine to coarse, see `SwinBackbone`."""
        return self.backbone(images)
