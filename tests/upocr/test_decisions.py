"""Decisions per word and stroke group, on constructed maps."""

import numpy as np
import pytest

from tasks import UNCALIBRATED, Verdict
from upocr.decisions import GAP, TextRule, confirmed_text, judge_words, stroke_groups


def blank() -> np.ndarray:
    return np.zeros((40, 60), np.uint8)


def test_strokes_within_the_gap_are_one_group():
    text = blank()
    second = 12 + GAP  # GAP empty pixels after the first
    third = second + 2 + GAP + 1  # and one more after the second
    for left in (10, second, third):
        text[10:20, left : left + 2] = 1
    groups = stroke_groups(text)
    assert groups[15, 10] == groups[15, second] != groups[15, third]
    assert (groups[text == 0] == 0).all()
    assert (groups[text == 1] > 0).all()


def test_uncertain_groups_are_no_text():
    text, probability = blank(), blank()
    text[5:10, 5:20] = text[20:25, 5:20] = 1  # too far apart for one group
    probability[5:10, 5:20] = 0.51 * 255
    probability[20:25, 5:20] = 0.45 * 255
    probability[20:25, 8] = 255  # one certain stroke in fifteen does not save the group
    kept = confirmed_text(text, probability, 0.4, None)
    assert (kept[5:10, 5:20] == 1).all()
    assert kept.sum() == 75


def test_a_lower_threshold_lowers_what_a_group_needs():
    text, probability = blank(), blank()
    text[5:10, 5:20] = 1
    probability[text == 1] = 0.3 * 255
    assert confirmed_text(text, probability, 0.4, None).sum() == 0
    assert confirmed_text(text, probability, 0.1, None).sum() == 75


def test_groups_need_the_detection():
    text = blank()
    text[5:10, 5:25] = text[20:25, 5:25] = 1
    detected = blank()
    detected[5:10, 5:16] = 2  # 11 of 20 columns
    detected[20:25, 5:14] = 1  # 9 of 20
    kept = confirmed_text(text, 255 * text, 0.4, detected)
    assert (kept[5:10, 5:25] == 1).all()
    assert kept.sum() == 100


def test_sure_groups_need_no_detection():
    text, probability = blank(), blank()
    text[5:10, 5:20] = text[20:25, 5:20] = 1
    probability[5:10, 5:20] = 0.85 * 255
    probability[20:25, 5:20] = 0.75 * 255
    kept = confirmed_text(text, probability, 0.4, blank(), TextRule(sure=0.8))
    assert (kept[5:10, 5:20] == 1).all()
    assert kept.sum() == 75
    assert confirmed_text(text, 255 * text, 0.4, blank(), TextRule(sure=1.0)).sum() == 0


def test_maps_without_text_stay_empty():
    assert confirmed_text(blank(), blank(), 0.4, blank()).sum() == 0
    classes, probability = judge_words(blank(), blank(), UNCALIBRATED)
    assert classes.sum() == probability.sum() == 0


def test_each_word_has_one_verdict():
    classes, share = blank(), blank()
    classes[5:15, 5:25] = 2
    classes[5:15, 30:50] = 1
    share[5:15, 5:25], share[5:15, 30:50] = 180, 60
    classes[8:10, 35:37] = 2  # a speck inside a genuine word
    share[8:10, 35:37] = 255
    verdicts, probability = judge_words(classes, share, UNCALIBRATED)
    assert (verdicts[5:15, 5:25] == 2).all()
    assert (verdicts[5:15, 30:50] == 1).all()
    assert np.unique(probability[5:15, 5:25]).tolist() == [180]
    # The mean over the word, speck included.
    assert np.unique(probability[5:15, 30:50]).tolist() == [round((60 * 196 + 255 * 4) / 200)]
    assert (verdicts > 0).sum() == 400


def test_a_changed_digit_is_a_word_of_its_own():
    classes, share = blank(), blank()
    classes[5:15, 5:35], share[5:15, 5:35] = 1, 20
    classes[5:15, 20:26], share[5:15, 20:26] = 2, 230
    verdicts, _ = judge_words(classes, share, UNCALIBRATED)
    assert (verdicts[5:15, 20:26] == 2).all()
    assert (verdicts[5:15, 5:20] == 1).all()
    assert (verdicts[5:15, 26:35] == 1).all()


def test_text_of_small_parts_alone_is_one_word():
    classes, share = blank(), blank()
    rows, columns = np.mgrid[:12, :30]
    classes[5:17, 5:35] = 1 + (rows // 2 + columns // 2) % 2  # a checkerboard
    share[5:17, 5:35] = 100
    verdicts, probability = judge_words(classes, share, UNCALIBRATED)
    assert np.unique(verdicts[5:17, 5:35]).tolist() == [1]
    assert np.unique(probability[5:17, 5:35]).tolist() == [100]


def test_the_verdict_of_the_weights_decides():
    classes, share = blank(), blank()
    classes[5:15, 5:25], share[5:15, 5:25] = 2, 153  # a share of 0.6, whose logit is 0.405
    strict, shifted = Verdict(threshold=0.61), Verdict(slope=2, offset=-1)
    assert judge_words(classes, share, UNCALIBRATED)[0].max() == 2
    assert judge_words(classes, share, strict)[0].max() == 1
    verdicts, probability = judge_words(classes, share, shifted)
    assert verdicts.max() == 1
    assert probability.max() == round(255 / (1 + np.exp(1 - 2 * np.log(1.5))))


@pytest.mark.parametrize("numbers", [{"slope": float("nan")}, {"threshold": "high"}])
def test_verdicts_are_numbers(numbers):
    with pytest.raises(ValueError, match=f"{next(iter(numbers))} of the verdict is "):
        Verdict(**numbers)
