"""The two graphs for other runtimes compute what the plain model computes, for maps of any size."""

import numpy as np
import pytest
import torch
from own_images import SMALL

from models import build_upocr
from models.fast.graphs import build_graphs
from models.swin import window_partition
from tasks import OFFICIAL_TASKS
from upocr.backends import layout

DEEP = {"enc_depths": [1, 2, 3, 2], "dec_depths": [3, 1, 2, 1, 2]}


def tensors(tables: layout.Tables) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(table) for name, table in tables.items()}


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (288, 160)])
def test_both_graphs_together_are_the_model(height, width):
    torch.manual_seed(0)
    model = build_upocr("upocr_nano", **SMALL | DEEP).eval()
    encoder, decoder = build_graphs(model)
    images = torch.rand(2, 3, height, width)
    with torch.inference_mode():
        expected = model(images, [list(OFFICIAL_TASKS)] * 2)[-1]
        features = encoder(
            images, tensors(layout.encoder_tables(height, width, DEEP["enc_depths"], 8))
        )
        tables = tensors(layout.decoder_tables(height, width, DEEP["dec_depths"], 8))
        found = [decoder(torch.tensor([row]), features, tables) for row in range(3)]
    torch.testing.assert_close(torch.stack(found, 1), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shift", [0, 4])
def test_a_table_pads_rolls_and_cuts(shift):
    height, width = 13, 22
    x = torch.rand(1, height, width, 3)
    rolled = torch.nn.functional.pad(x, (0, 0, 0, 2, 0, 3)).roll((-shift, -shift), (1, 2))
    places, new = layout.window_layout(layout.map_layout(height, width), 8, shift)
    tokens = np.concatenate((x.reshape(-1, 3).numpy(), np.zeros((1, 3), np.float32)))
    windows = tokens[places]
    np.testing.assert_array_equal(windows, window_partition(rolled, 8).numpy())
    np.testing.assert_array_equal(windows.reshape(-1, 3)[new.places()], x[0].numpy())


def test_only_the_last_row_and_column_of_windows_are_cut():
    kinds = layout.window_kinds(17, 32, 8).reshape(3, 4)
    assert kinds.tolist() == [[0, 0, 0, 2], [0, 0, 0, 2], [1, 1, 1, 3]]
