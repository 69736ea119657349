"""Attention: what is recomputed in the backward pass has the gradients of the plain formula."""

import pytest
import torch
import torch.nn.functional as F
from models.attention import cosine_attention

from models import attention

GRID = (3, 2)
HEADS, TOKENS, CHANNELS = 2, 9, 4  # of a head


@pytest.fixture(params=[-1, 2**40], ids=["recomputed", "kept"], autouse=True)
def kept_bytes(request, monkeypatch):
    """Large maps, whose scores are computed again in the backward pass, and small ones."""
    monkeypatch.setattr(attention, "KEPT_BYTES", request.param)
    return request.param


def plain(qkv, scale, biases, grid):
    """The formula, with a bias for every window of the map."""
    q, k, v = qkv.unflatten(-1, (3, len(scale), -1)).permute(2, 0, 3, 1, 4)
    uncut = len(biases) == 1
    kinds = [[0] * 2] * 3 if uncut else [[0, 2], [0, 2], [1, 3]]
    bias = torch.cat([biases[kind] for row in kinds for kind in row])
    bias = bias.repeat(len(qkv) // len(bias), 1, 1, 1)
    cosines = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
    scores = cosines * scale + bias
    return (torch.softmax(scores, dim=-1).to(v.dtype) @ v).transpose(1, 2).flatten(2)


def inputs(maps, kinds, dtype):
    torch.manual_seed(0)
    qkv = torch.randn(maps * GRID[0] * GRID[1], TOKENS, 3 * HEADS * CHANNELS, dtype=dtype)
    biases = [torch.randn(1, HEADS, TOKENS, TOKENS, dtype=dtype) for _ in range(kinds)]
    return [x.requires_grad_() for x in (qkv, torch.rand(HEADS, 1, 1, dtype=dtype) + 2, *biases)]


def call(function, tensors):
    return function(*tensors[:2], tensors[2:], GRID)


WINDOW_BYTES = HEADS * TOKENS * TOKENS * 8


# Scores of all windows at once, of some with a rest, and less room than one window needs.
@pytest.mark.parametrize("chunk_bytes", [2**22, 4 * WINDOW_BYTES, 1])
@pytest.mark.parametrize("kinds", [1, 4])
def test_gradients_do_not_depend_on_the_chunks(chunk_bytes, kinds, monkeypatch):
    monkeypatch.setattr(attention, "CHUNK_BYTES", chunk_bytes)
    found, expected = inputs(3, kinds, torch.float64), inputs(3, kinds, torch.float64)
    outputs = [call(cosine_attention, found), call(plain, expected)]
    torch.testing.assert_close(*outputs, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(outputs[0])
    for output in outputs:
        (output * weights).sum().backward()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kinds", [1, 4])
def test_without_gradients_the_outputs_are_the_same(kinds):
    tensors = inputs(2, kinds, torch.float64)
    with torch.no_grad():
        kept = call(cosine_attention, tensors)
    torch.testing.assert_close(call(cosine_attention, tensors), kept, rtol=1e-12, atol=1e-12)


def test_numeric_gradients():
    assert torch.autograd.gradcheck(
        lambda *tensors: call(cosine_attention, tensors), inputs(1, 4, torch.float64)
    )


def test_padding_has_the_gradient_of_the_plain_formula():
    """Keys of zero tokens are zero, and a length of zero has no direction."""
    found, expected = inputs(1, 4, torch.float64), inputs(1, 4, torch.float64)
    for tensors, function in ((found, cosine_attention), (expected, plain)):
        with torch.no_grad():
            tensors[0][1, 3:, HEADS * CHANNELS : 2 * HEADS * CHANNELS] = 0
        call(function, tensors).square().sum().backward()
        assert tensors[0].grad.isfinite().all()
    torch.testing.assert_close(found[0].grad, expected[0].grad, rtol=1e-9, atol=1e-9)


def test_bfloat16_is_as_near_as_its_plain_formula():
    exact, half, naive = (inputs(2, 4, torch.float32) for _ in range(3))
    call(plain, exact).square().sum().backward()
    for function, tensors in ((cosine_attention, half), (plain, naive)):
        qkv, scale, *biases = tensors
        narrow = [qkv.bfloat16(), scale, *(bias.bfloat16() for bias in biases)]
        call(function, narrow).square().sum().backward()
    for true, ours, peer in zip(exact, half, naive, strict=True):
        errors = [(x.grad - true.grad).norm() / true.grad.norm() for x in (ours, peer)]
        assert errors[0] < max(1.2 * errors[1], 0.01)


def test_neither_scores_nor_unit_vectors_of_large_maps_are_saved(monkeypatch):
    monkeypatch.setattr(attention, "KEPT_BYTES", -1)
    tensors = inputs(10, 4, torch.float32)
    saved = []
    hooks = torch.autograd.graph.saved_tensors_hooks
    with hooks(lambda x: saved.append(x) or x, lambda x: x):
        call(cosine_attention, tensors)
    biases = 4 * HEADS * TOKENS * TOKENS
    assert sum(x.numel() for x in saved) == tensors[0].numel() + HEADS + biases
