"""Hard negatives: the crops that a model takes for text, with labels that say otherwise."""

import json

import numpy as np
import pytest
from own_images import Painter
from PIL import Image
from small_run import ROOT

from datasets.config import build_dataset
from synthesis.layouts import DETECTION, REMOVAL, SEGMENTATION
from tools.hard_negatives import mine, worst_crops, write
from upocr import UPOCR

SIDE = 64
PAIR = ("image", "label")


@pytest.fixture
def photographs(tmp_path):
    """Two photographs; what the model calls text is a block at (100, 120) of the first one."""
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        pixels = rng.integers(30, 200, (256, 320, 3), np.uint8)
        if name == "a.png":
            pixels[100:110, 120:150] = (255, 0, 0)
        Image.fromarray(pixels).save(tmp_path / name)
    return [tmp_path / "a.png", tmp_path / "b.png"]


def test_false_text_is_found_and_cut_out(photographs):
    crops, share = mine(UPOCR(Painter()), photographs, SIDE)
    assert {crop.name for crop in crops} == {"a.png"}
    assert crops[0].false_text == max(crop.false_text for crop in crops) > 0.07
    assert (crops[0].pixels == (255, 0, 0)).all(axis=2).sum() == pytest.approx(300, abs=30)
    assert 0 < share < 300 / (256 * 320)


def test_crops_overlap_by_at_most_half():
    found = np.zeros((256, 256), np.float32)
    found[60:180, 60:180] = 1
    places = [(top, left) for top, left, _ in worst_crops(found, SIDE)]
    assert len(places) > 3
    for index, (top, left) in enumerate(places):
        for other_top, other_left in places[:index]:
            assert max(abs(top - other_top), abs(left - other_left)) >= SIDE // 2


def test_the_corpus_has_no_text_in_any_task(photographs, tmp_path):
    crops, _ = mine(UPOCR(Painter()), photographs, SIDE)
    write(crops, tmp_path / "corpus")
    names = json.loads((tmp_path / "corpus" / SEGMENTATION / "split.json").read_text())["train"]
    assert len(names) == len(crops)
    for name in names:
        removal = tmp_path / "corpus" / REMOVAL / "train"
        images = [np.array(Image.open(removal / f"{kind}/{name}.png")) for kind in PAIR]
        np.testing.assert_array_equal(*images)
        labels = tmp_path / "corpus" / SEGMENTATION / "semantic_label"
        assert np.array(Image.open(labels / f"{name}_maskfg.png")).max() == 0
        assert (tmp_path / "corpus" / DETECTION / "train_gt" / f"{name}.txt").read_text() == ""


@pytest.mark.parametrize(("task", "text"), [("removal", "mask"), ("segmentation", "label")])
def test_the_training_configurations_read_the_corpus(photographs, tmp_path, task, text):
    crops, _ = mine(UPOCR(Painter()), photographs, SIDE)
    write(crops, tmp_path / "synthetic")
    config = ROOT / f"data_configs/train/synthetic-text-{task}.yaml"
    dataset = build_dataset(config, SIDE, tmp_path)
    assert len(dataset) == len(crops)
    assert dataset[0, 0][text].max() == 0
