"""A model made fast, or small, for training."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.fast.recomputed_attention import RecomputedAttention
from models.fast.swap import adopt, swap
from models.swin import SwinBlock, WindowAttention
from models.upocr import UPOCRNetwork
from utils.dist import convolves_channels_last


def for_training(model: UPOCRNetwork) -> UPOCRNetwork:
    """Swap attention for one that trains faster and in less memory on a CPU, in place.

    Parameters, their names and their order stay. A model on another device, which has fused kernels
    and fast memory, stays as it is.
    """
    if next(model.parameters()).device.type == "cpu":
        swap(model, WindowAttention, partial(adopt, RecomputedAttention))
    return model


def features_channels_last(criterion: nn.Module) -> nn.Module:
    """Lay out VGG16 as the tensor cores of a GPU read it, in place; returns the criterion.

    Its maps follow its weights. The weights are frozen: neither an optimizer nor a checkpoint sees
    their layout. The maps of the network are channels last already, between linear layers.
    """
    if any(convolves_channels_last(parameter.device) for parameter in criterion.parameters()):
        criterion.to(memory_format=torch.channels_last)
    return criterion


class CheckpointedBlock(SwinBlock):
    """`SwinBlock` that is computed again in the backward pass instead of kept."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, H, W, C) -> (B, H, W, C)."""
        return checkpoint(super().forward, x, use_reentrant=False)


def checkpoint_blocks(model: UPOCRNetwork, encoder: bool, decoder: bool) -> None:
    """Trade time for memory: recompute the blocks of either half in the backward pass."""
    for half, enabled in ((model.encoder, encoder), (model.decoder, decoder)):
        if enabled:
            swap(half, SwinBlock, partial(adopt, CheckpointedBlock))
