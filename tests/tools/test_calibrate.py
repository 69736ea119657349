"""Calibration of the verdict on tampered words, on constructed words and pictures."""

import numpy as np
import pytest
from own_images import Painter, write_small_weights
from PIL import Image
from safetensors.torch import load_file, save_file

from models.checkpoint import load_checkpoint
from tasks import UNCALIBRATED, Verdict
from tools.calibrate import Words, calibrate, false_alarms, find_words, fit, recall, write_verdict
from upocr import UPOCR


def draw_words(slope: float, offset: float, count: int = 20_000) -> Words:
    """Words whose probability of tampering follows a known curve."""
    rng = np.random.default_rng(0)
    shares = rng.uniform(0.05, 0.95, count)
    tampered = rng.random(count) < Verdict(slope, offset).probability(shares)
    return Words(shares, rng.integers(50, 500, count), tampered)


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (2.0, 0.0), (0.5, 0.0)])
def test_the_curve_is_found_again(slope, offset):
    found = fit(draw_words(slope, offset))  # both classes are equally frequent
    assert found == pytest.approx((slope, offset), abs=0.06)


def test_rare_tampering_weighs_as_much_as_genuine_text():
    words = draw_words(2.0, 0.0)
    rare = ~words.tampered | (np.arange(len(words.shares)) % 10 == 0)
    few = Words(words.shares[rare], words.areas[rare], words.tampered[rare])
    assert few.tampered.mean() < 0.12
    assert fit(few) == pytest.approx((2.0, 0.0), abs=0.15)


@pytest.mark.parametrize("limit", [0.01, 0.05, 0.2])
def test_the_threshold_is_the_lowest_that_keeps_to_the_false_alarms(limit):
    words = draw_words(3.0, 0.0)
    verdict = calibrate(words, None, limit)
    assert false_alarms(words, verdict) <= limit
    lower = Verdict(verdict.slope, verdict.offset, verdict.threshold - 0.005)
    assert false_alarms(words, lower) > limit
    assert recall(words, lower) > recall(words, verdict) > 0


def test_photographs_can_raise_the_threshold():
    words = draw_words(3.0, 0.0)
    suspicious = Words(np.full(10, 0.8), np.full(10, 100), np.zeros(10, bool))
    verdict = calibrate(words, suspicious, 0.05)
    assert verdict.threshold > calibrate(words, None, 0.05).threshold
    assert false_alarms(suspicious, verdict) == 0


def test_one_class_alone_cannot_be_calibrated():
    words = Words(np.array([0.2, 0.8]), np.array([10, 10]), np.array([True, True]))
    with pytest.raises(ValueError, match="need genuine and tampered words"):
        fit(words)


def test_words_take_the_label_below_them(tmp_path):
    image = np.full((64, 128, 3), 99, np.uint8)
    for left in (10, 50, 90):
        image[20:30, left : left + 20] = (255, 0, 0)  # text, as Painter sees it
    Image.fromarray(image).save(tmp_path / "a.png")
    labels = np.zeros((64, 128), int)
    labels[18:32, 8:32], labels[18:32, 48:72] = 2, 1
    labels[18:32, 88:112] = -1  # to be ignored
    words = find_words(UPOCR(Painter()), tmp_path / "a.png", labels)
    assert words.tampered.tolist() == [True, False]
    assert words.areas.tolist() == [200, 200]
    genuine = find_words(UPOCR(Painter()), tmp_path / "a.png", None)
    assert genuine.tampered.tolist() == [False] * 3


def test_the_verdict_is_written_into_the_weights(tmp_path):
    path = write_small_weights(tmp_path / "small.safetensors")
    before = load_checkpoint(path)
    assert before.verdict == UNCALIBRATED
    write_verdict(path, Verdict(1.5, -0.25, 0.7))
    after = load_checkpoint(path)
    assert after.verdict == UPOCR.from_pretrained(path, "cpu").backend.verdict
    assert after.verdict == Verdict(1.5, -0.25, 0.7)
    assert all((after.model[name] == value).all() for name, value in before.model.items())
    assert (after.tasks, after.image_size) == (before.tasks, before.image_size)


@pytest.mark.parametrize("text", ['{"slope": "steep"}', '{"speed": 1}', "[1]"])
def test_a_verdict_that_is_none_is_refused(tmp_path, text):
    path = write_small_weights(tmp_path / "small.safetensors")
    save_file(load_file(path), path, {"verdict": text})
    with pytest.raises(ValueError, match=f"{path}: .*verdict"):
        load_checkpoint(path)
