"""The log of an epoch: means, lines, and the end of a diverged training."""

import contextlib
import json
import logging
import math
import sys
from pathlib import Path

import pytest
import torch

from utils.logger import Averages, DivergenceError, RunLog, StepLog, setup_logging


def step_log(iterations: int, print_freq: int = 1, epoch: int = 0, **options) -> StepLog:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.25)
    return StepLog(epoch, 5, iterations, print_freq, optimizer, torch.device("cpu"), **options)


def losses(total: float, norm: float = 1.0) -> dict[str, torch.Tensor]:
    values = {"total": total, "text_removal/msr": total, "grad_norm": norm}
    return {name: torch.tensor(value) for name, value in values.items()}


def test_first_step_that_is_not_finite_is_named():
    log = step_log(10, print_freq=3, epoch=3)
    log.add(0, losses(1.0))
    log.add(1, losses(math.inf))
    with pytest.raises(DivergenceError, match=r"loss .* epoch 4, step 2: total inf .*msr inf"):
        log.add(2, losses(math.nan))
    with pytest.raises(DivergenceError, match="gradient is not finite at epoch 1, step 1"):
        step_log(1).add(0, losses(1.0, norm=math.inf))


def test_a_scaler_may_skip_some_consecutive_steps():
    log = step_log(10, patience=2)
    for step, (total, norm) in enumerate(
        [(1.0, math.inf), (1.0, math.nan), (1.0, 1.0), (math.inf, 1.0), (math.inf, 1.0)]
    ):
        log.add(step, losses(total, norm))
    with pytest.raises(DivergenceError, match="gradient is not finite at epoch 1, step 6"):
        log.add(5, losses(1.0, norm=math.inf))


def test_averages_leave_out_what_is_not_finite():
    averages = Averages()
    for value in (1.0, float("nan"), 3.0, float("inf")):
        averages.add({"total": value})
    assert averages.means() == {"total": 2.0}


def test_a_line_per_interval_and_one_at_the_end(caplog):
    reported: list[dict[str, float]] = []
    log = step_log(5, print_freq=2, epoch=1, report=reported.append)
    with caplog.at_level(logging.INFO):
        for step in log.steps():
            log.got_data()
            log.add(step, losses(float(step)))
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split("]")[0] for line in lines] == [
        "epoch 2 [2/5",
        "epoch 2 [4/5",
        "epoch 2 [5/5",
    ]
    assert "total 0.5000  grad_norm 1.0000  text_removal/msr 0.5000" in lines[0]
    assert "total 2.5000" in lines[1]
    assert "lr 2.50e-01" in lines[2]
    assert log.means() == {"total": 2.0, "grad_norm": 1.0, "text_removal/msr": 2.0}
    assert [numbers.pop("train/total") for numbers in reported] == [0.5, 2.5, 4.0]
    assert reported[2] == {"lr": 0.25, "train/grad_norm": 1.0, "train/text_removal/msr": 4.0}


TORN = {
    "half a line": '{"epoch": 2, "lr": 0.0',
    "zeros after a power cut": "\0" * 40,
    "half a character": '{"epoch": 2, "name": "\xc3',
    "nothing": "",
    "a whole line without its end": '{"epoch": 2}',
}


@pytest.mark.parametrize("kind", TORN)
def test_a_torn_last_line_of_the_log_is_dropped(tmp_path, kind):
    file = tmp_path / "log.txt"
    file.write_bytes(b'{"epoch": 0}\n{"epoch": 1}\n' + TORN[kind].encode("latin-1"))
    log = RunLog(tmp_path, {}, start_epoch=3)
    log.begin()
    log.write(3, {"lr": 0.1})
    epochs = [json.loads(line)["epoch"] for line in file.read_text().splitlines()]
    assert epochs == [0, 1, *([2] if "whole" in kind else []), 3]


@pytest.mark.parametrize("content", ['{"epoch": 0}\nnotes\n{"epoch": 1}\n', "notes\n", "[1]\n"])
def test_a_file_that_is_no_log_is_named_and_kept(tmp_path, content):
    (tmp_path / "log.txt").write_text(content)
    with pytest.raises(ValueError, match=r"log\.txt: not a log of this program"):
        RunLog(tmp_path, {}, start_epoch=3)
    assert (tmp_path / "log.txt").read_text() == content


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_the_log_is_no_error(monkeypatch, capsys):
    with Path("/dev/full").open("w") as full, monkeypatch.context() as changed:
        changed.setattr(sys, "stdout", full)
        setup_logging()
        logging.getLogger("upocr").info("epoch 1")
        with contextlib.suppress(OSError):
            full.close()
    setup_logging()
    assert capsys.readouterr().err == ""
    logging.getLogger("upocr").info("%d", "no number")
    assert "--- Logging error ---" in capsys.readouterr().err  # a bug shows
