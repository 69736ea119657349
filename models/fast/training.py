"""A model made fast, or small, for training."""

from functools import partial

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from models.fast.recomputed_attention import RecomputedAttention
from models.fast.swap import adopt, swap
from models.swin import SwinBlock, WindowAttention
from models.upocr import UPOCRNetwork


def for_training(model: UPOCRNetwork) -> UPOCRNetwork:
    """Swap attention for one that trains faster and in less memory on a CPU, in place.

    Parameters, their names and their order stay. A model on another device, which has fused kernels
    and fast memory, stays as it is.
    """
    if next(model.parameters()).device.type == "cpu":
        swap(model, WindowAttention, partial(adopt, RecomputedAttention))
    return model


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
