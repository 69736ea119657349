"""Sheets of samples: which images, and that the columns show what they say."""

import numpy as np
import pytest
import torch
from PIL import Image
from small_run import DATA, EVAL, ROOT
from torch import nn

from datasets import build_dataset
from eval.pictures import draw_samples, sample_row, spread


class Inverting(nn.Module):
    """A network whose output is the negative of its input."""

    def forward(self, images: torch.Tensor, tasks: list[str]) -> list[torch.Tensor]:
        return [images, 1 - images]


@pytest.fixture
def dataset(monkeypatch):
    monkeypatch.chdir(ROOT)
    return build_dataset(EVAL[0], 64, DATA)


@pytest.mark.parametrize(("number", "expected"), [(1, [0]), (2, [0, 2]), (3, [0, 1, 2]), (9, 3)])
def test_images_are_spread_over_the_data_set(dataset, number, expected):
    assert spread(dataset, number) == (expected if isinstance(expected, list) else [0, 1, 2])


def test_all_columns_have_the_size_of_the_file(dataset):
    image, output, target = sample_row(dataset, 0, np.zeros((64, 64, 3), np.uint8))
    file = np.asarray(Image.open(dataset.items[0].image))
    assert np.array_equal(image, file)
    assert output.shape == target.shape == file.shape
    assert np.array_equal(target, np.asarray(Image.open(dataset.items[0].label)))


def test_samples_show_input_output_and_target(dataset, tmp_path):
    path = tmp_path / "new" / "sheet.png"
    draw_samples(Inverting(), dataset, path, 2, device=torch.device("cpu"), amp_dtype=None)
    sheet = np.asarray(Image.open(path)).astype(int)
    height, width = sheet.shape[:2]
    assert width == 3 * (256 + 8) + 8
    assert height == 2 * (256 + 8) + 32 + 8
    cells = [sheet[40 + 40 : 40 + 216, 8 + 264 * n : 264 * (n + 1)] for n in range(3)]
    image, output, target = cells
    assert abs(output - (255 - image)).mean() < 5  # resized to the network and back
    assert abs(target - image).mean() < 60
    assert abs(target - image).mean() > 0
