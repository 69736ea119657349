"""A model made fast and small for training."""

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.decoder import LateralConnection
from models.fast.lateral import FoldingLateral
from models.fast.recomputed_attention import RecomputedAttention
from models.fast.recomputed_mlp import RecomputedMlp
from models.fast.swap import swap
from models.swin import Mlp, SwinBlock, WindowAttention
from models.upocr import UPOCRNetwork

# What pays on a CPU, by name; a GPU has fused kernels and fast memory.
TRAINING_SWAPS: dict[str, dict[type[nn.Module], type[nn.Module]]] = {
    "laterals": {LateralConnection: FoldingLateral},
    "attention": {WindowAttention: RecomputedAttention},
    "mlp": {Mlp: RecomputedMlp},
}


def for_training(
    model: UPOCRNetwork, swaps: tuple[str, ...] = tuple(TRAINING_SWAPS)
) -> UPOCRNetwork:
    """Swap modules for equivalents that train faster and in less memory, in place, on a CPU.

    Parameters, their names and their order stay. Does nothing to a model on another device.

    `swaps`: which modules to swap, of `TRAINING_SWAPS`.
    """
    if next(model.parameters()).device.type == "cpu":
        for name in swaps:
            swap(model, TRAINING_SWAPS[name])
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
            swap(half, {SwinBlock: CheckpointedBlock})
