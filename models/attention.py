"""Scaled cosine attention inside windows, exact, and sparing with memory in training."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Bytes that a CPU works on at once: what its cache holds.
CHUNK_BYTES = 2**22
# Scores, float32, that are kept for the backward pass: computing so few again would take longer.
KEPT_BYTES = 2 * CHUNK_BYTES
EPSILON = 1e-12  # shortest length that a vector is divided by, as in `F.normalize`


def pays_in_parts(x: Tensor) -> bool:
    """Whether a large map is done part by part: in float32 on a CPU, whose memory is slow.

    Not in training and in compiled code, which have ways of their own, nor in bfloat16, whose
    products are slower in small parts.
    """
    if x.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    return x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def cosine_attention(
    qkv: Tensor, scale: Tensor, biases: list[Tensor], grid: tuple[int, int]
) -> Tensor:
    """qkv (BW, N, 3C), scale (heads, 1, 1), biases (1, heads, N, N) -> (BW, N, C).

    One bias is for all windows. Four are for a shifted map of `grid` (rows, columns) windows, whose
    last row and last column are cut: uncut windows, last row, last column, corner.
    """
    training = torch.is_grad_enabled() and qkv.requires_grad and qkv.device.type == "cpu"
    scores_bytes = 4 * len(qkv) * len(scale) * qkv.shape[1] ** 2
    if training and scores_bytes > KEPT_BYTES:
        return _recomputed_attention(qkv, scale, torch.cat(biases), *grid)
    q, k, v = qkv.unflatten(-1, (3, len(scale), -1)).permute(2, 0, 3, 1, 4)  # (BW, heads, N, D)
    wide = (x.to(_wide(x)) if training else x for x in (q, k))
    q, k = (F.normalize(x, dim=-1, eps=EPSILON) for x in wide)
    q, k = (q * scale).to(v.dtype), k.to(v.dtype)
    if training:
        return _attend_keeping_scores(q, k, v, biases, grid).transpose(1, 2).flatten(2)
    if len(biases) == 1:
        return _attend(q, k, v, *biases).transpose(1, 2).flatten(2)
    return _attend_shifted(q, k, v, biases, grid).transpose(1, 2).flatten(2)


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """(BW, heads, N, D) each, bias (1, heads, N, N) -> (BW, heads, N, D); q @ k are not scaled."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)


def _attend_keeping_scores(
    q: Tensor, k: Tensor, v: Tensor, biases: list[Tensor], grid: tuple[int, int]
) -> Tensor:
    """As `_attend` or `_attend_shifted`, by operators that give the position bias a gradient."""
    bias, scores = biases[0], (q @ k.transpose(-2, -1)).to(_wide(q))
    if len(biases) > 1:
        bias = torch.cat(biases).index_select(0, kinds_of_windows(*grid).to(q.device))
    scores = (scores.unflatten(0, (-1, len(bias))) + bias).flatten(0, 1)
    return scores.softmax(-1, dtype=_wide(v)).to(v.dtype) @ v


def _attend_shifted(
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
        out = _attend(*(x.flatten(0, 2) for x in windows), bias)
        return out.unflatten(0, windows[0].shape[:3])

    def row_of_windows(rows: slice, inner: Tensor, last: Tensor) -> Tensor:
        end = part(rows, slice(-1, None), last)
        return torch.cat((part(rows, slice(-1), inner), end), 2) if grid[1] > 1 else end

    end = row_of_windows(slice(-1, None), last_row, corner)
    if grid[0] > 1:
        end = torch.cat((row_of_windows(slice(-1), uncut, last_column), end), 1)
    return end.flatten(0, 2)


# In training, a CPU has no fused kernel that gives the position bias a gradient, and its memory is
# slow. So on large maps all of it is done for a few windows at a time that stay in the cache, and
# only q, k and v as the linear layer made them are kept for the backward pass, which computes the
# rest once more.
# To a compiler each pass is one operator: it would unroll the loops.
@torch.library.custom_op("upocr::cosine_attention", mutates_args=())
def _recomputed_attention(
    qkv: Tensor, scale: Tensor, biases: Tensor, rows: int, columns: int
) -> Tensor:
    """As `cosine_attention`, with biases (kinds of windows, heads, N, N)."""
    out = qkv.new_empty(*qkv.shape[:2], qkv.shape[2] // 3)
    for kind, part in window_parts(qkv, biases, rows, columns):
        vectors = _heads(qkv[part], 3, scale)
        units, _ = _unit_vectors(vectors[:2].to(_wide(qkv)))
        q, k = (units[0] * scale).to(qkv.dtype), units[1].to(qkv.dtype)
        attended = _attend(q, k, vectors[2], biases[kind, None].to(qkv.dtype).detach())
        out[part] = attended.transpose(1, 2).flatten(2)
    return out


@torch.library.custom_op("upocr::cosine_attention_backward", mutates_args=())
def _recomputed_attention_backward(
    grad: Tensor, qkv: Tensor, scale: Tensor, biases: Tensor, rows: int, columns: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of qkv, scale and biases for `grad` (BW, N, C) of the output."""
    wide, narrow = _wide(qkv), qkv.dtype
    qkv_grad = torch.empty_like(qkv, memory_format=torch.contiguous_format)
    bias_grads = torch.zeros_like(biases, dtype=wide)
    scale_grad = torch.zeros_like(scale, dtype=wide)
    for kind, part in window_parts(qkv, biases, rows, columns):
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


def kinds_of_windows(rows: int, columns: int) -> Tensor:
    """Place in the list of biases for every window of a shifted map, (rows * columns,) int64."""
    last_row, last_column = (torch.arange(n) == n - 1 for n in (rows, columns))
    return (last_row[:, None] + 2 * last_column.long()).flatten()


def window_parts(
    windows: Tensor, biases: Tensor, rows: int, columns: int
) -> Iterator[tuple[int, slice | Tensor]]:
    """Windows (BW, N, C) of one kind, a few at a time: the kind, and where they are in the batch.

    biases (kinds, ..., heads, N, N): one kind, or the four of a shifted map of rows x columns
    windows.
    """
    kinds, heads, tokens = len(biases), *biases.shape[-3:-1]
    size = max(1, CHUNK_BYTES // (heads * tokens * tokens * _wide(windows).itemsize))
    if kinds == 1:
        yield from ((0, slice(start, start + size)) for start in range(0, len(windows), size))
        return
    kind_of = kinds_of_windows(rows, columns)
    kind_of = kind_of.repeat(len(windows) // len(kind_of))
    for kind in range(kinds):
        places = (kind_of == kind).nonzero().flatten()
        yield from ((kind, part) for part in places.split(size) if len(part))


@_recomputed_attention.register_fake
def _(qkv: Tensor, scale: Tensor, biases: Tensor, rows: int, columns: int) -> Tensor:
    return qkv.new_empty(*qkv.shape[:2], qkv.shape[2] // 3)


@_recomputed_attention_backward.register_fake
def _(
    grad: Tensor, qkv: Tensor, scale: Tensor, biases: Tensor, rows: int, columns: int
) -> tuple[Tensor, Tensor, Tensor]:
    qkv_grad = torch.empty_like(qkv, memory_format=torch.contiguous_format)
    return qkv_grad, torch.empty_like(scale), torch.empty_like(biases)


def _setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
    *tensors, ctx.rows, ctx.columns = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    grads = _recomputed_attention_backward(grad, *ctx.saved_tensors, ctx.rows, ctx.columns)
    return (*grads, None, None)


_recomputed_attention.register_autograd(_backward, setup_context=_setup_context)
