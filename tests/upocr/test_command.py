"""The command in odd surroundings: streams that are closed, docstrings that are stripped."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from upocr import prediction
from upocr.cli import run

ROOT = Path(__file__).resolve().parents[2]


def shell(line: str) -> subprocess.CompletedProcess[str]:
    call = f"{sys.executable} {line}"
    return subprocess.run(call, shell=True, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-"])
def test_closed_streams_are_no_errors(closed):
    done = shell(f"-m upocr models {closed}")
    assert (done.returncode, done.stderr) == (0, "")
    assert ("upocr_nano" in done.stdout) == (closed != ">&-")


def test_a_list_from_a_closed_stream_is_empty():
    done = shell("-m upocr remove - <&-")
    assert (done.returncode, done.stderr) == (2, "error: no images are named\n")


def test_no_docstring_is_needed():
    assert shell("-OO -m upocr models").returncode == 0


@pytest.mark.parametrize("reach", [-1, 101, 10**30])
def test_the_reach_of_removal_is_bounded(reach):
    parser = prediction.build_parser()
    args = parser.parse_args(["a.png", "--dilation", str(reach)])
    with pytest.raises(ValueError, match=f"^--dilation is {reach}, expected 0 to 100$"):
        prediction.check(args)


EXHAUSTING = {
    "Python": lambda: bytearray(2**62),
    "NumPy": lambda: np.zeros(2**58),
    "PyTorch": lambda: torch.zeros(2**58),
    "OpenCV": lambda: cv2.copyMakeBorder(np.zeros((1, 1)), *[2**30] * 4, cv2.BORDER_CONSTANT),
}


@pytest.mark.parametrize("library", EXHAUSTING)
def test_too_little_memory_is_one_line(library, capsys):
    with pytest.raises(SystemExit) as stop:
        run(EXHAUSTING[library])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.startswith("error: out of memory (")
    assert said.count("\n") == 1
    assert len(said) < 200


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 // 0)
