"""A fourth task: the two files of docs/new_task.md, as printed, and nothing else."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_run import DATA, ROOT, TRAIN, TRAINING

from models.checkpoint import load_checkpoint
from tasks import OFFICIAL_TASKS

pytestmark = pytest.mark.slow
IMAGE = DATA / "TamperedTextDetection/Tampered-IC13/test_img/100.jpg"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with the module and the configuration."""
    folder = tmp_path_factory.mktemp("new_task")
    page = (ROOT / "docs/new_task.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"```(python|yaml)\n(.*?)```", page, re.DOTALL))
    (folder / "word_boxes.py").write_text(blocks["python"])
    (folder / "word-boxes.yaml").write_text(blocks["yaml"])
    (folder / "word-boxes-test.yaml").write_text(blocks["yaml"].replace("train", "test"))
    return folder


def run(folder: Path, *arguments: object) -> str:
    """Standard output of a command that finds the module; everything else is as delivered."""
    result = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def trained(folder, checkpoint) -> Path:
    """Training of all four tasks for two epochs, interrupted after the first one."""
    log = run(
        folder,
        *("main.py", *TRAINING, "--data_root", DATA),
        *("--data_cfg_paths", *TRAIN, folder / "word-boxes.yaml", "--epochs", 1),
        *("--num_workers", 1, "--pretrained_model", checkpoint, "--output_dir", folder / "out"),
    )
    assert len([line for line in log.splitlines() if "fresh" in line and "word_boxes" in line]) == 1
    last = folder / "out/checkpoint_last.pth"
    run(folder, "main.py", "--resume", last, "--epochs", 2)
    return last


def test_it_is_trained_beside_the_others_and_resumed(trained, checkpoint):
    found, before = load_checkpoint(trained), load_checkpoint(checkpoint)
    assert found.tasks == (*OFFICIAL_TASKS, "word_boxes")
    assert found.training["epoch"] == 1
    prompts, old = (file.model["task_prompt.task_embedding.weight"] for file in (found, before))
    assert prompts.shape == (4, old.shape[1])
    torch.testing.assert_close(prompts[:3], old, rtol=0, atol=0.01)  # kept, and trained a little
    lines = [json.loads(line) for line in (trained.parent / "log.txt").open()]
    assert [line["epoch"] for line in lines] == [0, 1]
    for line in lines:
        assert line["train"]["word_boxes/smooth_l1"] > 0


def test_it_is_evaluated(trained, folder):
    run(
        folder,
        *("main.py", "--eval", "true", "--resume", trained, "--data_root", DATA),
        *("--eval_data_cfg_path", folder / "word-boxes-test.yaml", "--num_workers", 0),
        *("--visualize", "true", "--output_dir", folder / "eval"),
    )
    record = json.loads((folder / "eval/metrics.json").read_text())["word-boxes"]
    assert record["task"] == "word_boxes"
    assert record["num_images"] == 2
    assert 0 <= record["iou_word"] <= 1
    picture = np.asarray(Image.open(folder / "eval/word-boxes/100.png"))
    assert set(np.unique(picture)) <= {0, 255}


def test_it_is_predicted(trained, folder):
    run(
        folder,
        *("predict.py", IMAGE, "--weights", trained, "--task_module", "word_boxes"),
        *("--task", "word_boxes", "--device", "cpu", "--output_dir", folder / "predicted"),
    )
    (record,) = json.loads((folder / "predicted/results.json").read_text())
    (page,) = record["pages"]
    assert "word_area" in page["word_boxes"]
    assert all((folder / "predicted" / name).exists() for name in page["files"])
    assert len(page["files"]) == 2


def test_a_checkpoint_with_more_tasks_starts_a_model_with_fewer(trained, folder):
    log = run(
        folder,
        *("main.py", *TRAINING, "--data_root", DATA, "--epochs", 1),
        *("--data_cfg_paths", folder / "word-boxes.yaml"),
        *("--pretrained_model", trained, "--output_dir", folder / "alone"),
    )
    assert len([line for line in log.splitlines() if "without the prompts of" in line]) == 1
    assert load_checkpoint(folder / "alone/checkpoint_last.pth").tasks == ("word_boxes",)
    assert "VGG16" not in log
    assert "text_removal" not in log.split("without the prompts of")[1].split("\n", 1)[1]


def test_a_task_that_was_not_trained_is_an_error(checkpoint, folder):
    result = subprocess.run(
        [
            *(sys.executable, "main.py", "--eval", "true", "--resume", str(checkpoint)),
            *("--eval_data_cfg_path", str(folder / "word-boxes-test.yaml")),
            *("--data_root", str(DATA), "--output_dir", str(folder / "error")),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert f"was trained on {', '.join(OFFICIAL_TASKS)}; not on word_boxes" in result.stderr
    assert len(result.stderr.splitlines()) == 1
