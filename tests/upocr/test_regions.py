"""Regions: connected pixels of one class."""

import numpy as np

from upocr.regions import find_regions


def test_regions_of_two_classes_do_not_merge():
    classes = np.array([[1, 1, 2, 0, 2]], np.uint8)
    names = ["background", "genuine", "tampered"]
    regions = find_regions(classes, np.full((1, 5), 204, np.uint8), names, 0)
    assert [(r.label, r.area, r.score) for r in regions] == [
        ("genuine", 2, 0.8),
        ("tampered", 1, 0.8),
        ("tampered", 1, 0.8),
    ]
