"""The network as two graphs for other runtimes: the encoder per image, the decoder per task.

The graphs compute what the plain model computes, for maps of any size, in operations that export
well. Tokens move by index tables, which are inputs (`upocr/backends/layout.py`), so that no size is
computed inside: exporters are slow on such arithmetic, and were seen to get it wrong.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.decoder import LateralConnection, PatchSplit
from models.encoder import PatchMerging
from models.fast.lateral import fold_last
from models.swin import SwinBlock, SwinStage, WindowAttention, shift_mask
from models.upocr import UPOCRNetwork

EPSILON = 1e-24  # least squared length, as of F.normalize


def take(x: Tensor, places: Tensor) -> Tensor:
    """x: (B, tokens, C), places: (...) int64 -> (B, ..., C), as one gather."""
    return x.index_select(1, places.flatten()).reshape(len(x), *places.shape, x.shape[2])


class GraphAttention(nn.Module):
    """`WindowAttention` with one matrix each for queries, keys and values, and its bias by kind.

    Args:
        attention: the attention it replaces.
    """

    scale: Tensor
    bias: Tensor
    mask: Tensor | None

    def __init__(self, attention: WindowAttention) -> None:
        super().__init__()
        self.num_heads, dim = attention.num_heads, attention.qkv.in_features
        weights = attention.qkv.weight.chunk(3), attention.qkv_bias().chunk(3)
        self.parts = nn.ModuleList(
            _linear(weight, bias) for weight, bias in zip(*weights, strict=True)
        )
        self.proj = attention.proj
        self.dim = dim
        self.register_buffer("scale", attention.scale().flatten(1))  # (heads, 1)
        self.register_buffer("bias", attention.position_bias())
        side, shift = attention.window_size, attention.shift
        mask = shift_mask((2, 2), side, shift)[[0, 2, 1, 3], None]  # as of `window_kinds`
        self.register_buffer("mask", mask if shift else None)

    def forward(self, x: Tensor, kinds: Tensor | None) -> Tensor:
        """x: (B * windows * N, C), kinds: (B * windows,) int64, None unshifted -> as x."""
        tokens = self.bias.shape[-1]
        q, k, v = (part(x).unflatten(1, (self.num_heads, -1)) for part in self.parts)
        q, k = q * (self.scale * _inverse_length(q)), k * _inverse_length(k)
        q, k, v = (self._by_head(part.unflatten(0, (-1, tokens))) for part in (q, k, v))
        bias = self.bias[None]
        if kinds is not None:
            assert self.mask is not None
            bias = bias + self.mask.index_select(0, kinds)  # (B * windows, heads, N, N)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
        return self.proj(self._by_head(out).reshape(-1, self.dim))

    def _by_head(self, x: Tensor) -> Tensor:
        """(n, N, heads, D) <-> (n, heads, N, D); of one head, nothing moves."""
        if self.num_heads > 1:
            return x.transpose(1, 2)
        return x.reshape(-1, x.shape[2], x.shape[1], x.shape[3])


def _inverse_length(x: Tensor) -> Tensor:
    return (x * x).sum(-1, keepdim=True).clamp_min(EPSILON).rsqrt()


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    linear.weight = nn.Parameter(weight.detach().clone())
    linear.bias = nn.Parameter(bias.detach().clone())
    return linear


class GraphBlock(nn.Module):
    """`SwinBlock` on tokens that lie window by window.

    Args:
        block: the block it replaces.
    """

    def __init__(self, block: SwinBlock) -> None:
        super().__init__()
        self.attn = GraphAttention(block.attn)
        self.norm1, self.norm2, self.mlp = block.norm1, block.norm2, block.mlp

    def forward(self, x: Tensor, places: Tensor, kinds: Tensor | None) -> Tensor:
        """x: (B, tokens, C), places: (windows, N), kinds: (windows,) -> (B, windows * N, C)."""
        batch_size, _, dim = x.shape
        # Official: the zeros of padding take part in attention.
        x = take(F.pad(x, (0, 0, 0, 1)), places).reshape(-1, dim)
        if kinds is not None:
            kinds = kinds.expand(batch_size, -1).reshape(-1)
        x = x + self.norm1(self.attn(x, kinds))
        x = x + self.norm2(self.mlp(x))
        return x.reshape(batch_size, -1, dim)


class GraphStage(nn.Module):
    """The blocks of a `SwinStage`.

    Args:
        stage: the stage it replaces.
    """

    def __init__(self, stage: SwinStage) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(GraphBlock(block) for block in stage.blocks)  # type: ignore[arg-type]

    def forward(self, x: Tensor, tables: Mapping[str, Tensor], stage: int) -> Tensor:
        """x: (B, tokens, C), tables: see `upocr.backends.layout` -> (B, tokens, C), by window."""
        for index, block in enumerate(self.blocks):
            name = "shift" if index % 2 else "back" if index else "first"
            kinds = tables[f"{stage}_kinds"] if index % 2 else None
            x = block(x, tables[f"{stage}_{name}"], kinds)
        return x


class GraphLateral(nn.Sequential):
    """`LateralConnection` as three convolutions: the last two are folded into one.

    Folding the first one, too, takes an input of ones at the border, which costs more than it
    saves where channels are processed in blocks of 8 or 16.

    Args:
        lateral: the connection it replaces.
    """

    def __init__(self, lateral: LateralConnection) -> None:
        first, second, _, _ = lateral
        super().__init__(first, second, fold_last(lateral))


class EncoderGraph(nn.Module):
    """Everything that the tasks of an image share: encoder, projection, lateral connections.

    Args:
        model: the network; the graph shares its weights.
    """

    def __init__(self, model: UPOCRNetwork) -> None:
        super().__init__()
        backbone = model.encoder.backbone
        self.patch_embed, self.proj = backbone.patch_embed, model.proj
        self.stages = nn.ModuleList(GraphStage(stage) for stage in backbone.layers)  # type: ignore[arg-type]
        self.merges = nn.ModuleList(stage.downsample for stage in backbone.layers[:-1])  # type: ignore[misc]
        self.norms = nn.ModuleList(backbone.get_submodule(f"norm{i}") for i in range(4))
        laterals = list(model.decoder.lateral_connection_list)[::-1]
        self.laterals = nn.ModuleList(GraphLateral(each) for each in laterals)  # type: ignore[arg-type]

    def forward(self, images: Tensor, tables: Mapping[str, Tensor]) -> list[Tensor]:
        """images: (B, 3, H, W) -> features (B, h, w, C) at 1/32, laterals at 1/16, 1/8, 1/4.

        tables: see `upocr.backends.layout.encoder_tables`.
        """
        x = self.patch_embed(images).flatten(1, 2)
        laterals: list[Tensor] = []
        for index, stage in enumerate(self.stages):
            x = stage(x, tables, index)
            feature = self.norms[index](take(x, tables[f"{index}_map"]))  # (B, h, w, C)
            if index == len(self.merges):
                break
            lateral = self.laterals[index](feature.permute(0, 3, 1, 2))
            laterals.insert(0, lateral.permute(0, 2, 3, 1))
            merge = self.merges[index]
            assert isinstance(merge, PatchMerging)
            x = take(x, tables[f"{index}_merge"]).flatten(3)
            x = merge.norm(merge.reduction(x)).flatten(1, 2)
        return [self.proj(feature), *laterals]


class DecoderGraph(nn.Module):
    """One task: prompt and decoder.

    Args:
        model: the network; the graph shares its weights.
    """

    def __init__(self, model: UPOCRNetwork) -> None:
        super().__init__()
        decoder = model.decoder
        self.prompts = model.task_prompt.task_embedding
        self.stages = nn.ModuleList(GraphStage(stage) for stage in decoder.layers)  # type: ignore[arg-type]
        self.splits = nn.ModuleList(stage.upsample for stage in decoder.layers)  # type: ignore[misc]
        self.norm = decoder.get_submodule(f"norm{len(decoder.layers) - 1}")
        self.output_conv = decoder.output_conv

    def forward(self, task: Tensor, features: list[Tensor], tables: Mapping[str, Tensor]) -> Tensor:
        """task: (1,) int64, features: of `EncoderGraph` -> (B, 3, H, W).

        task: row of the prompt table; tables: see `upocr.backends.layout.decoder_tables`. The
        output may leave [0, 1].
        """
        coarsest, *laterals = features
        x = (coarsest + self.prompts(task)).flatten(1, 2)  # (B, tokens, C)
        for index, (stage, split) in enumerate(zip(self.stages, self.splits, strict=True)):
            assert isinstance(split, PatchSplit)
            x = stage(x, tables, index)
            x = split.norm(split.upsample(x.unflatten(2, (4, -1)))).flatten(1, 2)
            if index < len(laterals):
                x = (take(x, tables[f"{index}_map"]) + laterals[index]).flatten(1, 2)
        x = self.norm(take(x, tables[f"{index}_map"]))  # (B, H, W, C)
        return self.output_conv(x.permute(0, 3, 1, 2))


def build_graphs(model: UPOCRNetwork) -> tuple[EncoderGraph, DecoderGraph]:
    """Both graphs of a network, in evaluation mode."""
    with torch.no_grad():
        encoder, decoder = EncoderGraph(model).eval(), DecoderGraph(model).eval()
    return encoder.requires_grad_(False), decoder.requires_grad_(False)
