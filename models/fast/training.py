"""A model made fast, or small, for training."""

from collections.abc import Iterable
from functools import partial

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.decoder import LateralConnection
from models.fast.lateral import FoldingLateral
from models.fast.recomputed_attention import RecomputedAttention
from models.fast.swap import adopt, swap
from models.swin import SwinBlock, WindowAttention
from models.upocr import UPOCRNetwork
from utils.registry import Registry

# Modules, and subclasses that pay on a CPU. GPUs have fused kernels and fast memory.
TRAINING_SWAPS: Registry[tuple[type[nn.Module], type[nn.Module]]] = Registry("swap")
TRAINING_SWAPS.register("laterals")((LateralConnection, FoldingLateral))
TRAINING_SWAPS.register("attention")((WindowAttention, RecomputedAttention))


def for_training(model: UPOCRNetwork, swaps: Iterable[str] = TRAINING_SWAPS) -> UPOCRNetwork:
    """Swap modules for equivalents that train faster or in less memory on a CPU, in place.

    Parameters, their names and their order stay. A model on another device stays as it is.

    `swaps`: names of the modules to swap, of `TRAINING_SWAPS`.
    """
    if next(model.parameters()).device.type == "cpu":
        for name in swaps:
            usual, fast = TRAINING_SWAPS[name]
            swap(model, usual, partial(adopt, fast))
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
