"""The MLP of training on a CPU: the same as PyTorch's operators, for less memory."""

from functools import partial

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from models.fast.recomputed_mlp import MIN_TOKENS, RecomputedMlp
from models.swin import Mlp

TOKENS = 2 * MIN_TOKENS + 17  # whole parts and a rest


def gradients(call, x, *weights):
    """Output of `call(x)` and what a fixed gradient of it makes of x and the weights."""
    for tensor in (x, *weights):
        tensor.grad = None
    out = call(x)
    out.backward(torch.ones_like(out) * torch.linspace(-1, 1, out.shape[-1], dtype=out.dtype))
    return [out.detach(), *(tensor.grad for tensor in (x, *weights))]


def mlp_and_input(dtype=torch.float32):
    torch.manual_seed(0)
    mlp = RecomputedMlp(24, 40).to(dtype)
    return mlp, torch.randn(TOKENS, 24, dtype=dtype, requires_grad=True)


def plain(mlp):
    return partial(Mlp.forward, mlp)


@pytest.mark.parametrize("size", [10**9, 1], ids=["whole", "parts"])
def test_mlp_and_its_gradients_are_exact(monkeypatch, size):
    monkeypatch.setattr("models.fast.recomputed_mlp.CHUNK_BYTES", size)
    mlp, x = mlp_and_input(torch.float64)
    ours = gradients(mlp, x, *mlp.parameters())
    assert all(tensor is not None for tensor in ours)
    for one, other in zip(ours, gradients(plain(mlp), x, *mlp.parameters()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_mlp_under_autocast_is_that_of_autocast():
    mlp, x = mlp_and_input()
    found = []
    for call in (mlp, plain(mlp)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found.append(gradients(call, x, *mlp.parameters()))
    assert found[0][0].dtype == torch.bfloat16
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=0.03, atol=0.03 * other.abs().max().item())


def saved_bytes(call):
    """Bytes that autograd keeps of `call`, every storage once."""
    storages = {}

    def pack(tensor):
        storages[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        kept = call()
    assert kept.requires_grad
    return sum(storage.nbytes() for storage in storages.values())


def test_mlp_keeps_one_hidden_layer_and_not_two():
    mlp, x = mlp_and_input()
    hidden = TOKENS * 40 * 4
    assert saved_bytes(lambda: plain(mlp)(x)) - saved_bytes(lambda: mlp(x)) == hidden
