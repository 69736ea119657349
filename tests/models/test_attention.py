"""Attention: what is recomputed in the backward pass has the gradients of the plain formula."""

import pytest
import torch

from models import attention


def plain(q, k, v, bias):
    return torch.softmax(q @ k.transpose(-2, -1) + bias, dim=-1) @ v


def inputs(windows, dtype):
    torch.manual_seed(0)
    shapes = [(windows, 2, 9, 4)] * 3 + [(1, 2, 9, 9)]
    return [torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes]


# Scores of all windows at once, of some with a rest, and less room than one window needs.
@pytest.mark.parametrize("chunk_bytes", [2**21, 3 * 2 * 9 * 9 * 8, 1])
def test_gradients_do_not_depend_on_the_chunks(chunk_bytes, monkeypatch):
    monkeypatch.setattr(attention, "CHUNK_BYTES", chunk_bytes)
    found, expected = inputs(7, torch.float64), inputs(7, torch.float64)
    weights = torch.randn(7, 2, 9, 4, dtype=torch.float64)
    outputs = [attention.attend(*found), plain(*expected)]
    torch.testing.assert_close(*outputs, rtol=1e-12, atol=1e-12)
    for output in outputs:
        (output * weights).sum().backward()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-12, atol=1e-12)


def test_numeric_gradients():
    assert torch.autograd.gradcheck(attention.attend, inputs(2, torch.float64))


def test_bfloat16_is_as_near_as_its_plain_formula():
    exact, half, naive = (inputs(5, torch.float32) for _ in range(3))
    plain(*exact).square().sum().backward()
    for call, tensors in ((attention.attend, half), (plain, naive)):
        call(*(x.bfloat16() for x in tensors)).square().sum().backward()
    for true, ours, peer in zip(exact, half, naive, strict=True):
        errors = [(x.grad - true.grad).norm() / true.grad.norm() for x in (ours, peer)]
        assert errors[0] < max(1.2 * errors[1], 0.01)


def test_no_scores_are_saved():
    q, k, v, bias = inputs(64, torch.float32)
    largest = []
    hooks = torch.autograd.graph.saved_tensors_hooks
    with hooks(lambda x: largest.append(x.numel()) or x, lambda x: x):
        attention.attend(q, k, v, bias)
    assert largest
    assert max(largest) <= q.numel()  # the scores of 64 windows would be 64 x 2 x 9 x 9
