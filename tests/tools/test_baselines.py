"""Baselines are the figures of predictions that are known beforehand."""

import sys

import numpy as np
import pytest
from PIL import Image

from datasets import build_dataset
from tools import baselines
from tools.baselines import BASELINES, copied_input, known_boxes, otsu

CONFIG = """
task: {task}
dataset: {kind}_folders
name: made
root: .
split: test
transforms: [resize]
"""


@pytest.fixture
def made(tmp_path):
    """A data set of one picture: dark with a bright patch of 10 x 20 pixels, and its label."""

    def make(task, kind, label, suffix):
        folder = tmp_path / "test"
        for name in ("image", "label", "mask"):
            (folder / name).mkdir(parents=True)
        picture = np.full((40, 60, 3), 50, np.uint8)
        picture[10:20, 20:40] = 200
        Image.fromarray(picture).save(folder / "image" / "a.png")
        if isinstance(label, str):
            (folder / "label" / f"a{suffix}").write_text(label)
        else:
            Image.fromarray(label).save(folder / "label" / f"a{suffix}")
            Image.fromarray(np.full((40, 60), 255, np.uint8)).save(folder / "mask" / "a.png")
        config = tmp_path / "made.yaml"
        config.write_text(CONFIG.format(task=task, kind=kind))
        return build_dataset(config, 32, tmp_path)

    return make


def test_copied_input(made):
    label = np.full((40, 60, 3), 50, np.uint8)
    found = copied_input(made("text_removal", "removal", label, ".png"))["copied input"]
    share = 200 / (40 * 60)
    expected = -10 * np.log10(share * (150 / 255) ** 2)
    assert found["strict"]["psnr"] == pytest.approx(expected)


def test_otsu_finds_bright_text_or_all_but_it(made):
    label = np.zeros((40, 60), np.uint8)
    label[10:20, 20:40] = 255
    label[:5] = 128  # ignored
    found = otsu(made("text_segmentation", "segmentation", label, ".png"))
    assert found["Otsu, bright text"]["fg_iou"] == 1
    assert found["Otsu, dark text"]["fg_iou"] == 0


def test_all_text_is_called_genuine_inside_its_boxes(made):
    boxes = "0,0,9,9,1\n20,10,49,19,2\n"  # 100 and 300 pixels
    data = made("tampered_text_detection", "detection", boxes, ".txt")
    every, coin = known_boxes(data).values()
    assert every["iou_tampered"] == 0
    assert every["recall_genuine"] == 1
    assert every["iou_genuine"] == pytest.approx(100 / 400, rel=0.1)
    assert every["mean_iou"] == every["iou_genuine"] / 2
    for name in ("genuine", "tampered"):
        assert coin[f"recall_{name}"] == pytest.approx(0.5, abs=0.15)


def test_a_task_without_a_baseline_is_named():
    with pytest.raises(ValueError, match="unknown task with a baseline 'seals', expected one of"):
        BASELINES["seals"]


def test_the_command_prints_what_an_evaluation_prints(made, tmp_path, monkeypatch, capsys):
    dataset = made("text_removal", "removal", np.full((40, 60, 3), 50, np.uint8), ".png")
    options = ["--eval_data_cfg_path", tmp_path / "made.yaml", "--data_root", tmp_path]
    monkeypatch.setattr(sys, "argv", ["baselines", *map(str, options)])
    baselines.main()
    lines = capsys.readouterr().out.splitlines()
    strict = copied_input(dataset)["copied input"]["strict"]["psnr"]
    assert lines[0].startswith("made, copied input ")
    assert f" {strict:.4g} " in lines[0]
    assert lines[0].endswith("(1 image)")
