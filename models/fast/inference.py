"""A model made fast for inference."""

import copy
from collections.abc import Callable, Iterable

import torch
from torch import nn

from models.decoder import Decoder
from models.fast.block import InferenceBlock
from models.fast.decoder import SequentialDecoder
from models.fast.folded_attention import FoldedAttention
from models.fast.lateral import FoldedLateral
from models.fast.swap import swap
from models.swin import SwinBlock
from models.upocr import UPOCRNetwork
from utils.registry import Registry

# Each changes a model, given the type of its matrix products.
INFERENCE_SWAPS: Registry[Callable[[UPOCRNetwork, torch.dtype], None]] = Registry("swap")


@torch.no_grad()
def for_inference(
    model: UPOCRNetwork, dtype: torch.dtype = torch.float32, swaps: Iterable[str] = INFERENCE_SWAPS
) -> UPOCRNetwork:
    """A copy of the model in evaluation mode, for prediction alone.

    Its outputs are those of the model up to rounding; its parameters are not those of checkpoints.

    Args:
        model: stays as it is.
        dtype: of the weights of matrix products, for use under an autocast of the same type, which
            then has nothing left to convert. The rest, such as normalisation, stays in float32.
        swaps: names of the parts to make fast.
    """
    fast = copy.deepcopy(model).eval().requires_grad_(False)
    for name in swaps:
        INFERENCE_SWAPS[name](fast, dtype)
    for module in fast.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | FoldedLateral):
            module.to(dtype)
    return fast


@INFERENCE_SWAPS.register("laterals")
def _fold_laterals(model: UPOCRNetwork, dtype: torch.dtype) -> None:
    laterals = model.decoder.lateral_connection_list
    for index, lateral in enumerate(laterals):
        laterals[index] = FoldedLateral(lateral)


@INFERENCE_SWAPS.register("attention")
def _fold_attention(model: UPOCRNetwork, dtype: torch.dtype) -> None:
    for module in model.modules():
        if isinstance(module, SwinBlock):
            module.attn = FoldedAttention(module.attn, dtype)


@INFERENCE_SWAPS.register("blocks")
def _swap_blocks(model: UPOCRNetwork, dtype: torch.dtype) -> None:
    swap(model, SwinBlock, InferenceBlock)


@INFERENCE_SWAPS.register("decoder")
def _swap_decoder(model: UPOCRNetwork, dtype: torch.dtype) -> None:
    swap(model, Decoder, SequentialDecoder)
