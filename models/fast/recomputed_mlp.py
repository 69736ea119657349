"""The MLP of a block for training on a CPU: one hidden layer kept instead of two."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.fast.windows import CHUNK_BYTES
from models.swin import Mlp

MIN_TOKENS = 512  # per part; with fewer, summing the gradients of the weights takes too long


class RecomputedMlp(Mlp):
    """`Mlp` that computes GELU again in the backward pass."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., C) -> (..., C)."""
        if not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return super().forward(x)
        autocast = torch.is_autocast_enabled("cpu")
        dtype = torch.get_autocast_dtype("cpu") if autocast else x.dtype
        weights = (self.fc1.weight, self.fc1.bias, self.fc2.weight, self.fc2.bias)
        out = _RecomputedMlp.apply(x.flatten(0, -2).to(dtype), *(w.to(dtype) for w in weights))
        return out.unflatten(0, x.shape[:-1])


class _RecomputedMlp(torch.autograd.Function):
    """Keeps only the input and the hidden layer before GELU.

    Tokens are processed in parts, so that nothing else as wide as the hidden layer leaves the
    cache of a CPU.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        """x (n, C), weights (H, C), (H,), (C, H), (C,) -> (n, C)."""
        hidden, out = x.new_empty(len(x), len(w1)), x.new_empty(len(x), len(w2))
        for part in _parts(hidden):
            torch.addmm(b1, x[part], w1.t(), out=hidden[part])
            torch.addmm(b2, F.gelu(hidden[part]), w2.t(), out=out[part])
        ctx.save_for_backward(x, hidden, w1, w2)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        """Gradients of x and of the weights for `grad` (n, C) of the output."""
        x, hidden, w1, w2 = ctx.saved_tensors
        grad = grad.contiguous()
        x_grad, w1_grad, w2_grad = torch.empty_like(x), torch.zeros_like(w1), torch.zeros_like(w2)
        b1_grad = w1.new_zeros(len(w1))
        with torch.autocast("cpu", enabled=False):
            for part in _parts(hidden):
                w2_grad.addmm_(grad[part].t(), F.gelu(hidden[part]))
                through = torch.ops.aten.gelu_backward(grad[part] @ w2, hidden[part])
                w1_grad.addmm_(through.t(), x[part])
                b1_grad += through.sum(0)
                torch.mm(through, w1, out=x_grad[part])
        return x_grad, w1_grad, b1_grad, w2_grad, grad.sum(0)


def _parts(hidden: Tensor) -> list[slice]:
    """Runs of tokens of a hidden layer (n, H) that stay in the cache."""
    size = max(MIN_TOKENS, CHUNK_BYTES // (hidden.shape[1] * hidden.element_size()))
    return [slice(start, start + size) for start in range(0, len(hidden), size)]
