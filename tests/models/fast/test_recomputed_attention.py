"""Attention recomputed in the backward pass has the outputs and gradients of the plain formula."""

import pytest
import torch
import torch.nn.functional as F

from models.fast import windows
from models.fast.recomputed_attention import RecomputedAttention, cosine_attention
from models.fast.swap import adopt
from models.swin import WindowAttention

GRID = (3, 2)
HEADS, TOKENS, CHANNELS = 2, 9, 4  # of a head
WINDOW_BYTES = HEADS * TOKENS * TOKENS * 8
# Scores of all windows at once, of some with a rest, and less room than one window needs.
CHUNKS = [2**22, 4 * WINDOW_BYTES, 1]


@pytest.fixture
def chunk_bytes(monkeypatch, request):
    monkeypatch.setattr(windows, "CHUNK_BYTES", request.param)


def plain(qkv, scale, biases, *grid):
    """The formula, with a bias for every window of the map."""
    q, k, v = qkv.unflatten(-1, (3, len(scale), -1)).permute(2, 0, 3, 1, 4)
    kinds = [[0] * 2] * 3 if len(biases) == 1 else [[0, 2], [0, 2], [1, 3]]
    bias = torch.stack([biases[kind] for row in kinds for kind in row])
    bias = bias.repeat(len(qkv) // len(bias), 1, 1, 1)
    cosines = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
    scores = cosines * scale + bias
    return (torch.softmax(scores, dim=-1).to(v.dtype) @ v).transpose(1, 2).flatten(2)


def inputs(maps, kinds, dtype):
    torch.manual_seed(0)
    qkv = torch.randn(maps * GRID[0] * GRID[1], TOKENS, 3 * HEADS * CHANNELS, dtype=dtype)
    scale = torch.rand(HEADS, 1, 1, dtype=dtype) + 2
    biases = torch.randn(kinds, HEADS, TOKENS, TOKENS, dtype=dtype)
    return [x.requires_grad_() for x in (qkv, scale, biases)]


@pytest.mark.parametrize("chunk_bytes", CHUNKS, indirect=True)
@pytest.mark.parametrize("kinds", [1, 4])
@pytest.mark.usefixtures("chunk_bytes")
def test_gradients_do_not_depend_on_the_chunks(kinds):
    found, expected = inputs(3, kinds, torch.float64), inputs(3, kinds, torch.float64)
    outputs = [cosine_attention(*found, *GRID), plain(*expected, *GRID)]
    torch.testing.assert_close(*outputs, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(outputs[0])
    for output in outputs:
        (output * weights).sum().backward()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("shift", [0, 2])
def test_the_module_has_the_gradients_of_the_plain_one(shift):
    torch.manual_seed(0)
    attention = WindowAttention(HEADS * CHANNELS, HEADS, 4, 4, shift).double()
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.copy_(torch.randn_like(parameter))
    x = torch.randn(2 * 6, 16, HEADS * CHANNELS, dtype=torch.float64, requires_grad=True)
    found = []
    for module in (attention, adopt(RecomputedAttention, attention)):
        output = module(x, GRID)
        gradients = torch.autograd.grad(output.square().sum(), [x, *module.parameters()])
        found.append([output, *gradients])
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        torch.testing.assert_close(module(x, GRID), output, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_numeric_gradients():
    tensors = inputs(1, 4, torch.float64)
    assert torch.autograd.gradcheck(lambda *x: cosine_attention(*x, *GRID), tensors)


def test_padding_has_the_gradient_of_the_plain_formula():
    """Keys of zero tokens are zero, and a length of zero has no direction."""
    found, expected = inputs(1, 4, torch.float64), inputs(1, 4, torch.float64)
    for tensors, function in ((found, cosine_attention), (expected, plain)):
        with torch.no_grad():
            tensors[0][1, 3:, HEADS * CHANNELS : 2 * HEADS * CHANNELS] = 0
        function(*tensors, *GRID).square().sum().backward()
        assert tensors[0].grad.isfinite().all()
    torch.testing.assert_close(found[0].grad, expected[0].grad, rtol=1e-9, atol=1e-9)


def test_bfloat16_is_as_near_as_its_plain_formula():
    exact, half, naive = (inputs(2, 4, torch.float32) for _ in range(3))
    plain(*exact, *GRID).square().sum().backward()
    for function, (qkv, scale, biases) in ((cosine_attention, half), (plain, naive)):
        function(qkv.bfloat16(), scale, biases.bfloat16(), *GRID).square().sum().backward()
    for true, ours, peer in zip(exact, half, naive, strict=True):
        errors = [(x.grad - true.grad).norm() / true.grad.norm() for x in (ours, peer)]
        assert errors[0] < max(1.2 * errors[1], 0.01)


def test_neither_scores_nor_unit_vectors_are_saved():
    tensors = inputs(10, 4, torch.float32)
    saved = []
    hooks = torch.autograd.graph.saved_tensors_hooks
    with hooks(lambda x: saved.append(x) or x, lambda x: x):
        cosine_attention(*tensors, *GRID)
    assert sum(x.numel() for x in saved) == sum(x.numel() for x in tensors)
