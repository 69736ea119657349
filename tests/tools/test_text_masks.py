"""Scores of masks in files: known overlaps, Sauvola's threshold, one-line errors."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from tools import text_masks
from tools.text_masks import read_mask, sauvola_mask, score_masks


def mask(columns: slice) -> torch.Tensor:
    """10 x 10 with text in some columns."""
    made = torch.zeros(10, 10, dtype=torch.int64)
    made[:, columns] = 1
    return made


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def test_figures_of_known_overlaps():
    pairs = {
        "half": (mask(slice(0, 4)), mask(slice(2, 6))),  # 2 columns of 6
        "all": (mask(slice(0, 3)), mask(slice(0, 3))),
    }
    found = score_masks(pairs)
    assert found["images"]["half"]["fg_iou"] == pytest.approx(2 / 6)
    assert found["images"]["half"]["precision"] == pytest.approx(0.5)
    assert found["images"]["all"]["fg_iou"] == 1
    assert found["fg_iou"] == pytest.approx(5 / 9), "of all pixels, not the mean of the images"
    low, high = found["fg_iou_interval"]
    assert low == pytest.approx(2 / 6)
    assert high == pytest.approx(1)


def test_sizes_that_differ_are_named():
    with pytest.raises(ValueError, match=r"page: .*\(10, 10\).*\(4, 4\)"):
        score_masks({"page": (mask(slice(1)), torch.zeros(4, 4, dtype=torch.int64))})


def test_dark_and_bright_text(tmp_path):
    save(tmp_path / "a.png", np.uint8([[0, 255], [255, 255]]))
    assert read_mask(tmp_path / "a.png", "dark").tolist() == [[1, 0], [0, 0]]
    assert read_mask(tmp_path / "a.png", "bright").tolist() == [[0, 1], [1, 1]]


def test_unknown_pixels_do_not_count(tmp_path):
    save(tmp_path / "a.png", np.uint8([[0, 255, 128, 128]]))
    true = read_mask(tmp_path / "a.png", "bright", unknown=128)
    assert true.tolist() == [[0, 1, -1, -1]]
    [image] = score_masks({"a": (torch.tensor([[0, 1, 1, 0]]), true)})["images"].values()
    assert image["fg_iou"] == 1


def test_sauvola_finds_strokes_on_uneven_paper(tmp_path):
    page = np.tile(np.linspace(120, 230, 120).astype(np.uint8), (60, 1))
    page[20:40, ::12] //= 3
    save(tmp_path / "p.png", page)
    found = sauvola_mask(tmp_path / "p.png", 25).numpy()
    assert found[20:40, ::12].all()
    assert found.mean() < 0.05


def test_command(tmp_path, monkeypatch, capsys):
    save(tmp_path / "out" / "a.mask.png", (255 * mask(slice(0, 4)).numpy()).astype(np.uint8))
    save(tmp_path / "gt" / "a_gt.png", (255 - 255 * mask(slice(0, 5)).numpy()).astype(np.uint8))
    options = ["--gt_path", tmp_path / "gt", "--gt_ending", "_gt", "--gt_text", "dark"]
    options += ["--target_path", tmp_path / "out", "--target_ending", ".mask"]
    options += ["--json", tmp_path / "found.json"]
    monkeypatch.setattr(sys, "argv", ["text_masks", *map(str, options)])
    text_masks.main()
    assert "total: fgIoU 0.800 (0.800 to 0.800)" in capsys.readouterr().out
    assert json.loads((tmp_path / "found.json").read_text())["fg_iou"] == pytest.approx(0.8)


def test_an_even_window_is_refused(tmp_path, monkeypatch):
    options = ["--gt_path", tmp_path, "--target_path", tmp_path, "--sauvola", 24]
    monkeypatch.setattr(sys, "argv", ["text_masks", *map(str, options)])
    with pytest.raises(ValueError, match="--sauvola is 24, expected an odd number"):
        text_masks.main()
