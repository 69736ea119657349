"""Everything that makes the model faster or smaller, applied after building, from outside."""

from models.fast.inference import INFERENCE_SWAPS, for_inference
from models.fast.training import checkpoint_blocks, features_channels_last, for_training

__all__ = [
    "INFERENCE_SWAPS",
    "checkpoint_blocks",
    "features_channels_last",
    "for_inference",
    "for_training",
]
