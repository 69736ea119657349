"""Layouts: the files of a sample."""

import json
from pathlib import Path

import numpy as np

from synthesis.layouts import detection_files, write_split
from synthesis.samples import DetectionSample


def test_boxes_are_lines_of_five_numbers():
    image = np.zeros((16, 16, 3), np.uint8)
    boxes = [(1, 2, 5, 6, 1), (7, 8, 9, 12, 2)]
    files = detection_files("test", "a", DetectionSample(image, image, boxes, 90, {}))
    assert files["TamperedTextDetection/Tampered-IC13/test_gt/a.txt"] == b"1,2,5,6,1\n7,8,9,12,2\n"
    empty = detection_files("test", "a", DetectionSample(image, image, [], 90, {}))
    assert empty["TamperedTextDetection/Tampered-IC13/test_gt/a.txt"] == b""


def test_the_split_file_has_no_validation_split(tmp_path: Path):
    write_split(tmp_path, {"train": 2, "test": 1})
    content = json.loads((tmp_path / "TextSegmentation/TextSeg/split.json").read_text())
    expected = {"train": ["train_000000", "train_000001"], "val": [], "test": ["test_000000"]}
    assert content == expected
