"""Tasks: decoding, colours, and modules that add further tasks."""

import subprocess
import sys

import numpy as np
import pytest

from upocr import tasks
from upocr.tasks import OFFICIAL_TASKS, TAMPERED_TEXT_DETECTION, TASKS, TEXT_SEGMENTATION


def test_official_order():
    # Rows of the prompt table of official checkpoints.
    assert OFFICIAL_TASKS == ("text_removal", "tampered_text_detection", "text_segmentation")


def test_text_is_where_the_channel_mean_exceeds_the_threshold():
    output = np.array([[[0.3, 0.3, 0.3], [0.0, 0.0, 1.0], [0.9, 0.6, 0.0]]], np.float32)
    assert TEXT_SEGMENTATION.decode is not None
    assert TEXT_SEGMENTATION.decode(output, 0.4).tolist() == [[0, 0, 1]]
    assert TEXT_SEGMENTATION.decode(output, 0.2).tolist() == [[1, 1, 1]]


def test_the_class_is_the_strongest_channel():
    output = np.array([[[0.5, 0.3, 0.1], [0.1, 0.3, 0.2], [0.0, 0.1, 0.2]]], np.float32)
    assert TAMPERED_TEXT_DETECTION.decode is not None
    classes = TAMPERED_TEXT_DETECTION.decode(output, 0.5)
    assert classes.tolist() == [[0, 1, 2]]
    picture = TAMPERED_TEXT_DETECTION.class_picture(classes)
    assert picture.tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]


def test_one_colour_has_one_meaning():
    meanings: dict[tuple, set[str]] = {}
    for task in TASKS.values():
        for each in task.classes:
            if each.tint is not None:
                meanings.setdefault(each.tint, set()).add(each.name)
    meanings.setdefault(tasks.ERASED, set()).add("erased")
    meanings.setdefault(tasks.IGNORED, set()).add("ignored")
    assert all(len(names) == 1 for names in meanings.values()), meanings


def test_a_missing_module_is_one_line():
    with pytest.raises(ValueError, match="no module named 'no_such_module'"):
        tasks.load_module("no_such_module")


def test_tasks_need_neither_torch_nor_opencv():
    program = "import sys, upocr.tasks; sys.exit('torch' in sys.modules or 'cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
