"""Weights and inputs of the reference values, drawn as tests/reference/README.md says."""

import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

TESTS = Path(__file__).parent
REFERENCE = TESTS / "reference"
TINY = {
    "embed_dim": 24,
    "enc_depths": [2, 2, 2, 2],
    "dec_depths": [2, 2, 2, 2, 2],
    "enc_drop_path": 0.0,
    "dec_drop_path": 0.0,
}


def _generator(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def reference_parameter(name: str, shape: tuple[int, ...]) -> Tensor:
    """The reference value of a parameter, drawn from its name."""
    x = _generator(name).standard_normal(shape).astype(np.float32)
    if name.endswith("logit_scale"):
        x = np.float32(math.log(10)) + np.float32(0.1) * x
    elif name.endswith("task_embedding.weight"):
        pass
    elif len(shape) == 1 and name.endswith("weight"):
        x = 1 + np.float32(0.1) * x
    elif len(shape) == 1:
        x = np.float32(0.02) * x
    else:
        x = x / np.float32(np.sqrt(np.prod(shape[1:])))
    return torch.from_numpy(x)


def reference_input(name: str, shape: tuple[int, ...]) -> Tensor:
    """The input `name` of the reference values, in [0, 1)."""
    return torch.from_numpy(_generator(name).random(shape).astype(np.float32))


@torch.no_grad()
def fill_by_name(module: nn.Module, prefix: str = "") -> None:
    """Set every parameter of `module` to its reference value."""
    for name, parameter in module.named_parameters():
        parameter.copy_(reference_parameter(prefix + name, tuple(parameter.shape)))
