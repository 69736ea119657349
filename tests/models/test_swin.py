"""Window attention and blocks against the formulas, written out."""

import pytest
import torch
import torch.nn.functional as F

from models.swin import (
    MASKED,
    SwinBlock,
    WindowAttention,
    shift_mask,
    window_partition,
    window_reverse,
)


def written_out(attention: WindowAttention, x: torch.Tensor) -> torch.Tensor:
    """Attention of every window and head of a map (H, W, C), one at a time -> (H, W, C)."""
    side, heads = attention.window_size, attention.num_heads
    height, width, dim = x.shape
    q, k, v = F.linear(x, attention.qkv.weight, attention.qkv_bias()).split(dim, -1)
    part = torch.zeros(height, width)
    part[height - attention.shift :] += 1
    part[:, width - attention.shift :] += 2
    out = torch.empty_like(x)
    bias = attention.position_bias()
    for top in range(0, height, side):
        for left in range(0, width, side):
            rows, columns = slice(top, top + side), slice(left, left + side)
            regions = part[rows, columns].flatten()
            for head, channels in enumerate(torch.arange(dim).chunk(heads)):
                a, b, c = (y[rows, columns, channels].flatten(0, 1) for y in (q, k, v))
                a, b = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
                scores = a @ b.T * attention.logit_scale[head, 0].exp() + bias[head]
                if attention.shift:
                    scores = scores + MASKED * (regions[:, None] != regions)
                found = scores.softmax(1) @ c
                out[rows, columns, channels] = found.unflatten(0, (side, side))
    return attention.proj(out)


@pytest.mark.parametrize("shift", [0, 2])
@pytest.mark.parametrize("grid", [(3, 2), (1, 1), (1, 3)])
@torch.no_grad()
def test_attention_is_the_formula(shift, grid):
    torch.manual_seed(0)
    attention = WindowAttention(12, 3, 4, 4, shift).double()
    for parameter in attention.parameters():
        parameter.copy_(torch.randn_like(parameter))
    x = torch.randn(2, 4 * grid[0], 4 * grid[1], 12, dtype=torch.float64)
    found = window_reverse(attention(window_partition(x, 4), grid), 4, grid)
    for one, other in zip(found, x, strict=True):
        torch.testing.assert_close(one, written_out(attention, other), rtol=1e-9, atol=1e-9)


def test_the_shift_mask_separates_what_is_not_adjacent():
    mask = shift_mask((2, 1), window_size=2, shift=1)
    assert mask.shape == (2, 4, 4)
    free = {(0, 0), (0, 2), (1, 1), (1, 3), (2, 0), (2, 2), (3, 1), (3, 3)}  # tokens row by row
    expected = torch.tensor(
        [[0.0 if (i, j) in free else MASKED for j in range(4)] for i in range(4)]
    )
    assert torch.equal(mask[0], expected)  # the only column wraps around
    assert torch.equal(mask[1], MASKED * (1 - torch.eye(4)))


def test_windows_are_reversed():
    x = torch.arange(2 * 6 * 4 * 3).reshape(2, 6, 4, 3)
    windows = window_partition(x, 2)
    assert windows.shape == (12, 4, 3)
    assert torch.equal(windows[1], x[0, :2, 2:].flatten(0, 1))
    assert torch.equal(window_reverse(windows, 2, (3, 2)), x)


@pytest.mark.parametrize("shifted", [False, True])
@torch.no_grad()
def test_zero_padding_takes_part_in_attention(shifted):
    torch.manual_seed(0)
    block = SwinBlock(16, 2, 4, 4, shifted, drop_path=0.0)
    x = torch.rand(1, 6, 7, 16)
    padded = F.pad(x, (0, 0, 0, 1, 0, 2))
    whole = block.windowed_attention(padded)
    torch.testing.assert_close(block.windowed_attention(x), whole[:, :6, :7])


@torch.no_grad()
def test_stochastic_depth_drops_whole_samples():
    torch.manual_seed(0)
    block = SwinBlock(16, 2, 4, 4, shifted=False, drop_path=0.5).train()
    x = torch.rand(16, 8, 8, 16)
    changed = (block(x) != x).flatten(1, 2).any(2)  # (B, tokens): whether any channel is new
    assert (changed == changed[:, :1]).all()
    assert len(changed[:, 0].unique()) == 2
