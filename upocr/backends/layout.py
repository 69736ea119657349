"""Where tokens lie in windows: the index tables that exported graphs take beside a picture.

A graph that moves tokens by tables serves maps of any size: padding, rolling and cutting a map
into windows, and merging or splitting patches, become one gather each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Tables = dict[str, np.ndarray]

PATCH = 4  # pixels of a side of the first patches
LATERALS = 3  # decoder stages that add an encoder feature


@dataclass(frozen=True)
class Layout:
    """Where the tokens of a map are: token (y, x) is number rows[y] + columns[x].

    Args:
        rows, columns: (H,) and (W,) int64.
        count: number of tokens, those of padding included.
    """

    rows: np.ndarray
    columns: np.ndarray
    count: int

    def places(self) -> np.ndarray:
        """Numbers of all tokens, (H, W) int64."""
        return self.rows[:, None] + self.columns


def map_layout(height: int, width: int) -> Layout:
    """Tokens row by row."""
    return Layout(np.arange(height) * width, np.arange(width), height * width)


def window_layout(layout: Layout, side: int, shift: int) -> tuple[np.ndarray, Layout]:
    """Tokens window by window, of a map padded to whole windows and rolled by `shift`.

    Returns the number in `layout` of every token of the windows, (windows, side * side) int64,
    where `layout.count` stands for padding; and the new layout.
    """
    height, width = len(layout.rows), len(layout.columns)
    rows, columns = -(-height // side), -(-width // side)  # of windows
    y = _sources(layout.rows, rows * side, shift, layout.count).reshape(rows, 1, side, 1)
    x = _sources(layout.columns, columns * side, shift, layout.count).reshape(columns, 1, side)
    y_new = np.roll(np.arange(rows * side), shift)[:height]
    x_new = np.roll(np.arange(columns * side), shift)[:width]
    area = side * side
    new = Layout(
        y_new // side * (columns * area) + y_new % side * side,
        x_new // side * area + x_new % side,
        rows * columns * area,
    )
    return np.minimum(y + x, layout.count).reshape(-1, area), new


def _sources(places: np.ndarray, length: int, shift: int, padding: int) -> np.ndarray:
    """`places` padded to `length` and rolled backwards by `shift`."""
    padded = np.pad(places, (0, length - len(places)), constant_values=padding)
    return np.roll(padded, -shift)


def window_kinds(height: int, width: int, side: int) -> np.ndarray:
    """Kinds of the windows of a shifted map, (windows,) int64.

    0 is uncut, 1 in the last row, 2 in the last column, 3 in both: the shift made tokens
    neighbours there that are not.
    """
    rows, columns = -(-height // side), -(-width // side)
    last_row, last_column = np.arange(rows) == rows - 1, np.arange(columns) == columns - 1
    return (last_row[:, None] + 2 * last_column).reshape(-1)


def split_layout(layout: Layout) -> Layout:
    """After a patch split: the four neighbours of a token follow one another, column first."""
    rows = 4 * layout.rows[:, None] + np.arange(2)
    columns = 4 * layout.columns[:, None] + np.arange(0, 4, 2)
    return Layout(rows.reshape(-1), columns.reshape(-1), 4 * layout.count)


def merge_places(layout: Layout) -> np.ndarray:
    """Numbers of the four neighbours that become one token, (H / 2, W / 2, 4) int64."""
    rows, columns = layout.rows.reshape(-1, 1, 1, 2), layout.columns.reshape(-1, 2, 1)
    return (rows + columns).reshape(len(rows), len(columns), 4)


def stage_tables(layout: Layout, depth: int, side: int) -> tuple[Tables, Layout]:
    """Tables of `depth` blocks, every second one shifted, and the layout after the last one."""
    tables: Tables = {}
    for block in range(depth):
        shift = side // 2 * (block % 2)
        name = "shift" if shift else "back" if block else "first"
        tables[name], layout = window_layout(layout, side, shift)
    if depth > 1:
        tables["kinds"] = window_kinds(len(layout.rows), len(layout.columns), side)
    return tables, layout


def encoder_tables(height: int, width: int, depths: Sequence[int], side: int) -> Tables:
    """Tables of the encoder by name, `STAGE_KIND`.

    Args:
        height, width: of the picture, multiples of 32.
        depths: blocks per stage.
        side: of a window in tokens.
    """
    tables: Tables = {}
    for stage, depth in enumerate(depths):
        scale = PATCH * 2**stage
        found, layout = stage_tables(map_layout(height // scale, width // scale), depth, side)
        found["map"] = layout.places()
        if stage + 1 < len(depths):
            found["merge"] = merge_places(layout)
        tables |= {f"{stage}_{name}": table for name, table in found.items()}
    return tables


def decoder_tables(height: int, width: int, depths: Sequence[int], side: int) -> Tables:
    """Tables of the decoder by name; arguments as of `encoder_tables`."""
    tables: Tables = {}
    scale = PATCH * 2**LATERALS
    layout = map_layout(height // scale, width // scale)
    for stage, depth in enumerate(depths):
        found, layout = stage_tables(layout, depth, side)
        layout = split_layout(layout)
        if stage < LATERALS or stage + 1 == len(depths):
            found["map"] = layout.places()
            layout = map_layout(len(layout.rows), len(layout.columns))
        tables |= {f"{stage}_{name}": table for name, table in found.items()}
    return tables
