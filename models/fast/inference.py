"""A model made fast for inference."""

import copy

import torch
from torch import nn

from models.decoder import Decoder, LateralConnection
from models.fast.block import InferenceBlock
from models.fast.decoder import SequentialDecoder
from models.fast.folded_attention import FoldedAttention
from models.fast.lateral import FoldedLateral
from models.fast.swap import swap
from models.swin import SwinBlock
from models.upocr import UPOCRNetwork

INFERENCE_SWAPS = ("laterals", "attention", "blocks", "decoder")


@torch.no_grad()
def for_inference(
    model: UPOCRNetwork,
    dtype: torch.dtype = torch.float32,
    swaps: tuple[str, ...] = INFERENCE_SWAPS,
) -> UPOCRNetwork:
    """A copy of the model in evaluation mode, for prediction alone.

    Its outputs are those of the model up to rounding; its parameters are not those of checkpoints.

    Args:
        model: stays as it is.
        dtype: of the weights of matrix products, for use under an autocast of the same type, which
            then has nothing left to convert. The rest, such as normalisation, stays in float32.
        swaps: which parts to make fast, of `INFERENCE_SWAPS`.
    """
    fast = copy.deepcopy(model).eval().requires_grad_(False)
    if "laterals" in swaps:
        laterals = fast.decoder.lateral_connection_list
        for index, lateral in enumerate(laterals):
            assert isinstance(lateral, LateralConnection)
            laterals[index] = FoldedLateral(lateral)
    if "attention" in swaps:
        for module in fast.modules():
            if isinstance(module, SwinBlock):
                module.attn = FoldedAttention(module.attn, dtype)
    if "blocks" in swaps:
        swap(fast, {SwinBlock: InferenceBlock})
    if "decoder" in swaps:
        swap(fast, {Decoder: SequentialDecoder})
    for module in fast.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | FoldedLateral):
            module.to(dtype)
    return fast
