"""Tampered-IC13: annotation lines and the painted label."""

from pathlib import Path

import numpy as np
import pytest

from datasets.boxes import paint_boxes, read_boxes
from datasets.tampered_ic13 import TamperedIC13
from datasets.transforms import Resize

DATA = Path(__file__).parents[1] / "data" / "TamperedTextDetection" / "Tampered-IC13"


def test_evaluation_sample() -> None:
    sample = TamperedIC13(DATA, "test", [Resize(64)], "x")[1]
    assert sample["image"].shape == (3, 64, 64)
    assert sample["label"].shape == (143, 97, 3)
    assert sample["size"] == (143, 97)
    assert (sample["task"], sample["name"]) == ("tampered_text_detection", "101")
    assert (sample["label"].int().sum(2) == 255).all()


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        (b"", []),
        (b"\n\n", []),
        (b"1,2,3,4,1", [(1, 2, 3, 4, 1)]),
        (b"1, 2, 3, 4, 2\r\n-5,0,7,8,1\r\n", [(1, 2, 3, 4, 2), (-5, 0, 7, 8, 1)]),
        (b"\xef\xbb\xbf1,2,3,4,1\n", [(1, 2, 3, 4, 1)]),
    ],
)
def test_read_boxes(tmp_path: Path, text: bytes, boxes: list) -> None:
    path = tmp_path / "1.txt"
    path.write_bytes(text)
    assert read_boxes(path) == boxes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1,2,3,4,1\n1,2,3,4", r"1\.txt:2: '1,2,3,4' is not five integers x1,y1,x2,y2,class"),
        (b"1,2,3,4,1,5", r"1\.txt:1: '1,2,3,4,1,5' is not five integers"),
        (b"1.5,2,3,4,1", r"1\.txt:1: '1.5,2,3,4,1' is not five integers"),
        (b"1 2 3 4 1", r"1\.txt:1: '1 2 3 4 1' is not five integers"),
        (b"\n1,2,3,4,word", r"1\.txt:2: '1,2,3,4,word' is not five integers"),
        (b"1,2,3,4,0", r"1\.txt:1: unknown class 0, expected 1 \(genuine\) or 2 \(tampered\)"),
        (b"\xff\xfe1", r"1\.txt: not a UTF-8 text file"),
    ],
)
def test_wrong_annotation_is_named(tmp_path: Path, text: bytes, message: str) -> None:
    path = tmp_path / "1.txt"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=message) as error:
        read_boxes(path)
    assert "\n" not in str(error.value)


def test_paint_boxes_in_order_with_both_corners() -> None:
    picture = np.asarray(paint_boxes([(1, 1, 3, 2, 1), (3, 2, 4, 3, 2)], (6, 5)))
    classes = picture.argmax(axis=2)
    expected = np.zeros((5, 6), dtype=int)
    expected[1:3, 1:4] = 1
    expected[2:4, 3:5] = 2
    np.testing.assert_array_equal(classes, expected)
    assert set(np.unique(picture)) == {0, 255}


def test_boxes_are_cut_at_the_border_and_corners_may_be_swapped() -> None:
    inside = np.asarray(paint_boxes([(0, 0, 1, 1, 2)], (4, 4)))
    for box in [(-3, -2, 1, 1, 2), (1, 1, 0, 0, 2)]:
        np.testing.assert_array_equal(np.asarray(paint_boxes([box], (4, 4))), inside)
    empty = np.asarray(paint_boxes([], (4, 4)))
    for box in [(-9, -9, -2, -2, 1), (7, 7, 9, 9, 1)]:
        np.testing.assert_array_equal(np.asarray(paint_boxes([box], (4, 4))), empty)
