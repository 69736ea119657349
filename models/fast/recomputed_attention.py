"""Window attention for training on a CPU: recomputed in the backward pass, a few windows at a time.

A CPU has no fused kernel that gives the position bias a gradient, and its memory is slow. So maps
are processed in parts that stay in the cache. Only q, k and v, as the linear layer returned them,
are kept for the backward pass, which computes the rest again. To a compiler each pass is one
operator: it would unroll the loops.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.fast.windows import window_biases, window_parts
from models.swin import WindowAttention

EPSILON = 1e-12  # shortest length that a vector is divided by, as in `F.normalize`


class RecomputedAttention(WindowAttention):
    """`WindowAttention` that keeps neither scores nor unit vectors for the backward pass."""

    def forward(self, windows: Tensor, grid: tuple[int, int]) -> Tensor:
        """windows: (B * rows * columns, N, C), grid: (rows, columns) -> same shape."""
        if not torch.is_grad_enabled():
            return super().forward(windows, grid)
        qkv = F.linear(windows, self.qkv.weight, self.qkv_bias())
        return self.proj(cosine_attention(qkv, self.scale(), window_biases(self), *grid))


@torch.library.custom_op("upocr::cosine_attention", mutates_args=())
def cosine_attention(qkv: Tensor, scale: Tensor, biases: Tensor, rows: int, columns: int) -> Tensor:
    """As `cosine_attention`, with biases (kinds of windows, heads, N, N)."""
    out = qkv.new_empty(*qkv.shape[:2], qkv.shape[2] // 3)
    for kind, part in window_parts(qkv, biases, (rows, columns)):
        vectors = _heads(qkv[part], 3, scale)
        units, _ = _unit_vectors(vectors[:2].to(_wide(qkv)))
        q, k = (units[0] * scale).to(qkv.dtype), units[1].to(qkv.dtype)
        bias = biases[kind, None].to(qkv.dtype).detach()
        attended = F.scaled_dot_product_attention(q, k, vectors[2], attn_mask=bias, scale=1.0)
        out[part] = attended.transpose(1, 2).flatten(2)
    return out


@torch.library.custom_op("upocr::cosine_attention_backward", mutates_args=())
def cosine_attention_backward(
    grad: Tensor, qkv: Tensor, scale: Tensor, biases: Tensor, rows: int, columns: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of qkv, scale and biases for `grad` (BW, N, C) of the output."""
    wide, narrow = _wide(qkv), qkv.dtype
    qkv_grad = torch.empty_like(qkv, memory_format=torch.contiguous_format)
    bias_grads = torch.zeros_like(biases, dtype=wide)
    scale_grad = torch.zeros_like(scale, dtype=wide)
    for kind, part in window_parts(qkv, biases, (rows, columns)):
        vectors = _heads(qkv[part], 3, scale)
        through = _heads(grad[part], 1, scale)[0].to(narrow)  # (n, heads, N, D)
        units, inverse = _unit_vectors(vectors[:2].to(wide))
        q, k, v = (units[0] * scale).to(narrow), units[1].to(narrow), vectors[2]
        weights = (q @ k.transpose(-2, -1)).to(wide).add_(biases[kind]).softmax(-1)
        scores_grad = (through @ v.transpose(-2, -1)).to(wide)
        scores_grad = torch._softmax_backward_data(scores_grad, weights, -1, wide)
        bias_grads[kind] += scores_grad.sum(0)
        weights, scores_grad = weights.to(narrow), scores_grad.to(narrow)
        grads = torch.empty_like(vectors, dtype=wide)
        grads[0] = scores_grad @ k
        grads[1] = scores_grad.transpose(-2, -1) @ q
        grads[2] = weights.transpose(-2, -1) @ through
        along = units.mul(grads[:2]).sum(-1, keepdim=True)  # (2, n, heads, N, 1)
        scale_grad += along[0].sum((0, 2))[:, :, None]
        # Shorter vectors are divided by a constant.
        grads[:2].sub_(units * along.where(inverse < 1 / EPSILON, 0)).mul_(inverse)
        grads[0] *= scale
        qkv_grad[part] = grads.permute(1, 3, 0, 2, 4).flatten(2).to(narrow)
    return qkv_grad, scale_grad.to(scale.dtype), bias_grads.to(biases.dtype)


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _heads(x: Tensor, parts: int, scale: Tensor) -> Tensor:
    """(n, N, parts * C) -> (parts, n, heads, N, D)."""
    return x.unflatten(-1, (parts, len(scale), -1)).permute(2, 0, 3, 1, 4).contiguous()


def _unit_vectors(x: Tensor) -> tuple[Tensor, Tensor]:
    """x / |x| along the last dimension, and 1 / |x|."""
    inverse = torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_(min=EPSILON).reciprocal_()
    return x * inverse, inverse


@cosine_attention.register_fake
def _(qkv: Tensor, scale: Tensor, biases: Tensor, rows: int, columns: int) -> Tensor:
    return qkv.new_empty(*qkv.shape[:2], qkv.shape[2] // 3)


@cosine_attention_backward.register_fake
def _(
    grad: Tensor, qkv: Tensor, scale: Tensor, biases: Tensor, rows: int, columns: int
) -> tuple[Tensor, Tensor, Tensor]:
    qkv_grad = torch.empty_like(qkv, memory_format=torch.contiguous_format)
    return qkv_grad, torch.empty_like(scale), torch.empty_like(biases)


def _setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
    *tensors, ctx.rows, ctx.columns = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    grads = cosine_attention_backward(grad, *ctx.saved_tensors, ctx.rows, ctx.columns)
    return (*grads, None, None)


cosine_attention.register_autograd(_backward, setup_context=_setup_context)
