"""Rules for stroke groups, compared on counts of pixels."""

import numpy as np

from tools.tune_decision import ALL_GROUPS, Groups, find_groups
from upocr import UPOCR
from upocr.decisions import TextRule


def test_rules_count_what_they_keep():
    groups = Groups(
        probability=np.array([0.95, 0.6, 0.45]),
        agreement=np.array([0.0, 0.8, 1.0]),
        area=np.array([100, 50, 20]),
        right=np.array([90, 40, 0]),
        text=200,
        pixels=1000,
    )
    assert groups.count(ALL_GROUPS).tolist() == [130, 170, 200, 1000]
    assert groups.count(TextRule()).tolist() == [40, 50, 200, 1000]
    assert groups.count(TextRule(sure=0.9)).tolist() == [130, 150, 200, 1000]


def test_groups_cover_the_decision_by_pixel():
    model = UPOCR.from_pretrained(num_threads=1)
    rgb = np.full((64, 256, 3), 230, np.uint8)
    for left in range(20, 220, 30):
        rgb[16:48, left : left + 6] = 20  # seven bars
    mask = model.segment_text(rgb, decision="pixel").mask > 0
    labels = rgb[:, :, 0] < 128
    groups = find_groups(model, rgb, labels, boxes=False)
    assert mask.any()
    expected = [(mask & labels).sum(), mask.sum(), labels.sum(), labels.size]
    assert groups.count(ALL_GROUPS).tolist() == expected
    in_boxes = find_groups(model, rgb, labels, boxes=True)
    assert in_boxes.text == (mask & labels).sum()
