"""A model made fast for inference."""

import copy
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import nn

from models.decoder import Decoder, LateralConnection
from models.fast.decoder import SequentialDecoder
from models.fast.folded_attention import FoldedAttention
from models.fast.lateral import FoldedLateral
from models.fast.swap import adopt, swap
from models.swin import WindowAttention
from models.upocr import UPOCRNetwork
from utils.registry import Registry

# Modules, and what makes a fast one of each.
INFERENCE_SWAPS: Registry[tuple[type[nn.Module], Callable[..., nn.Module]]] = Registry("swap")
INFERENCE_SWAPS.register("laterals")((LateralConnection, FoldedLateral))
INFERENCE_SWAPS.register("attention")((WindowAttention, FoldedAttention))
INFERENCE_SWAPS.register("decoder")((Decoder, partial(adopt, SequentialDecoder)))


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
        swaps: names of the modules to make fast, of `INFERENCE_SWAPS`.
    """
    fast = copy.deepcopy(model).eval()
    for name in swaps:
        swap(fast, *INFERENCE_SWAPS[name])
    for module in fast.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.to(dtype)
        elif isinstance(module, FoldedAttention):
            module.biases = module.biases.to(dtype)
    return fast.requires_grad_(False)
