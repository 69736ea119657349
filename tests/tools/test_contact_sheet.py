"""The command that puts inputs, outputs and targets side by side."""

import sys

import numpy as np
import pytest
from PIL import Image
from vectors import TESTS

from tools import contact_sheet
from utils.cli import run

ROOT = TESTS.parent
CONFIG = str(ROOT / "data_configs" / "eval" / "scut-enstext.yaml")


def call(monkeypatch, *arguments: object) -> int | None:
    argv = ["contact_sheet", "--data_root", str(TESTS / "data"), "--eval_data_cfg_path", CONFIG]
    monkeypatch.setattr(sys, "argv", [*argv, *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        run(contact_sheet.main)
    return stop.value.code


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "SCUT-EnsText"
    folder.mkdir()
    for name, value in (("1", 10), ("2", 100), ("3", 200)):
        Image.fromarray(np.full((40, 40, 3), value, np.uint8)).save(folder / f"{name}.png")
    return tmp_path


def test_rows_show_the_pictures_of_the_evaluation(monkeypatch, pictures):
    assert call(monkeypatch, "--output_dir", pictures) == 0
    sheet = np.asarray(Image.open(pictures / "SCUT-EnsText_sheet.png"))
    middle = sheet[:, sheet.shape[1] // 2, 0]  # down the column of the outputs
    assert [value in middle for value in (10, 100, 200)] == [True, True, True]


def test_fewer_rows_are_spread_over_the_data_set(monkeypatch, pictures):
    assert call(monkeypatch, "--output_dir", pictures, "--num_images", 2) == 0
    sheet = np.asarray(Image.open(pictures / "SCUT-EnsText_sheet.png"))
    middle = sheet[:, sheet.shape[1] // 2, 0]
    assert [value in middle for value in (10, 100, 200)] == [True, False, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "2.png: no such file"),
        (("--num_images", "0"), "--num_images: '0' is not an integer above 0"),
    ],
)
def test_bad_input_is_one_line(monkeypatch, pictures, capsys, arguments, message):
    (pictures / "SCUT-EnsText" / "2.png").unlink()
    assert call(monkeypatch, "--output_dir", pictures, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (pictures / "SCUT-EnsText_sheet.png").exists()
