"""Attention inside windows with an additive bias, exact, and sparing with memory in training."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# Bytes of the scores that the backward pass of a CPU has at hand at once: what its cache holds.
CHUNK_BYTES = 2**21


class _RecomputedAttention(torch.autograd.Function):
    """softmax(q @ k^T + bias) @ v that keeps no scores for its backward pass.

    The fused kernel of a CPU gives a bias no gradient. So the backward pass computes the scores
    once more, for a few windows at a time that stay in the cache: exact, and both less memory and
    less traffic than keeping the scores of all windows.
    """

    @staticmethod
    def forward(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias.detach(), scale=1.0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        q, k, v, bias = ctx.saved_tensors
        grads = [torch.empty_like(x) for x in (q, k, v)]
        bias_grad = torch.zeros(bias.shape[1:], dtype=torch.float32, device=bias.device)
        if bias.dtype == torch.float64:
            bias_grad = bias_grad.double()
        heads, tokens = q.shape[1:3]
        size = max(1, CHUNK_BYTES // (heads * tokens * tokens * bias_grad.element_size()))
        for start in range(0, len(q), size):
            part = slice(start, start + size)
            qs, ks, vs, gs = (x[part] for x in (q, k, v, grad))
            scores = (qs @ ks.transpose(-2, -1)).to(bias_grad.dtype).add_(bias)
            weights = torch.softmax(scores, dim=-1)
            through = (gs @ vs.transpose(-2, -1)).to(weights.dtype)
            scores_grad = torch._softmax_backward_data(through, weights, -1, weights.dtype)
            bias_grad += scores_grad.sum(0)
            weights, scores_grad = weights.to(q.dtype), scores_grad.to(q.dtype)
            grads[0][part] = scores_grad @ ks
            grads[1][part] = scores_grad.transpose(-2, -1) @ qs
            grads[2][part] = weights.transpose(-2, -1) @ gs
        return (*grads, bias_grad[None].to(bias.dtype))


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """(BW, heads, N, D) each, bias (1, heads, N, N) -> (BW, heads, N, D); q @ k are not scaled."""
    if torch.is_grad_enabled() and bias.requires_grad and q.device.type == "cpu":
        return _RecomputedAttention.apply(q, k, v, bias)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)


def attend_shifted(
    q: Tensor, k: Tensor, v: Tensor, biases: list[Tensor], grid: tuple[int, int]
) -> Tensor:
    """Attention where the last row and the last column of windows are cut, (BW, heads, N, D) ->
    same.

    One call for each kind of window with one bias for all its windows: a bias for every window of
    the map, as it is usually written, would take far more memory and depend on the size of the map.
    """
    q, k, v = (x.unflatten(0, (-1, *grid)) for x in (q, k, v))  # (B, rows, columns, heads, N, D)
    uncut, last_row, last_column, corner = biases

    def part(rows: slice, columns: slice, bias: Tensor) -> Tensor:
        windows = [x[:, rows, columns] for x in (q, k, v)]
        out = attend(*(x.flatten(0, 2) for x in windows), bias)
        return out.unflatten(0, windows[0].shape[:3])

    def row_of_windows(rows: slice, inner: Tensor, last: Tensor) -> Tensor:
        end = part(rows, slice(-1, None), last)
        return torch.cat((part(rows, slice(-1), inner), end), 2) if grid[1] > 1 else end

    end = row_of_windows(slice(-1, None), last_row, corner)
    if grid[0] > 1:
        end = torch.cat((row_of_windows(slice(-1), uncut, last_column), end), 1)
    return end.flatten(0, 2)
