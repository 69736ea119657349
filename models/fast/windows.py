"""The four kinds of windows of a shifted map, and windows in parts that a cache holds.

Only the last row and the last column of windows of a shifted map hold tokens that the shift made
neighbours. So four biases serve maps of any size: uncut windows, last row, last column, corner.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from models.swin import WindowAttention, shift_mask

CHUNK_BYTES = 2**22  # what the cache of a CPU core holds


def window_biases(attention: WindowAttention) -> Tensor:
    """Additive biases by kind of window, (1 or 4, heads, N, N): one if the map is not shifted."""
    bias = attention.position_bias()[None]
    if not attention.shift:
        return bias
    mask = shift_mask((2, 2), attention.window_size, attention.shift, bias.device)  # row by row
    return bias + mask[[0, 2, 1, 3], None].to(bias.dtype)


def places_by_kind(windows: Tensor, grid: tuple[int, int]) -> list[Tensor]:
    """Places of each kind among the windows (B * rows * columns, N, C) of shifted maps, int64."""
    places = torch.arange(len(windows), device=windows.device).view(-1, *grid)
    rows, last_row = places[:, :-1], places[:, -1:]
    kinds = (rows[..., :-1], last_row[..., :-1], rows[..., -1:], last_row[..., -1:])
    return [kind.flatten() for kind in kinds]


def window_parts(
    windows: Tensor, biases: Tensor, grid: tuple[int, int]
) -> Iterator[tuple[int, slice | Tensor]]:
    """Kind and places of a few windows of one kind at a time, whose scores fit into the cache."""
    heads, tokens = biases.shape[1:3]
    itemsize = torch.promote_types(windows.dtype, torch.float32).itemsize
    size = max(1, CHUNK_BYTES // (heads * tokens * tokens * itemsize))
    if len(biases) == 1:
        yield from ((0, slice(start, start + size)) for start in range(0, len(windows), size))
        return
    for kind, places in enumerate(places_by_kind(windows, grid)):
        yield from ((kind, part) for part in places.split(size) if len(part))


def pays_in_parts(x: Tensor) -> bool:
    """Whether inference runs part by part: in float32 on a CPU, whose memory is slow.

    Not in compiled code, and not in bfloat16, whose products are slower in small parts.
    """
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    return x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
