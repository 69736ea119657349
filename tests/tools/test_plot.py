"""Curves of training runs."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image
from small_run import ROOT

from tools.plot import draw, read_run

pytest.importorskip("matplotlib")


def write_run(folder, epochs: int, loss: float) -> None:
    """A run that validated every second epoch."""
    folder.mkdir()
    lines = []
    for epoch in range(epochs):
        record = {
            "epoch": epoch,
            "lr": 1e-4,
            "train": {"total": loss / (epoch + 1)},
            "task_gap": 0.5,
        }
        record["train"] |= {"grad_norm": float("nan"), "text_segmentation/smooth_l1": 0.25}
        if epoch % 2:
            record["val"] = {"TextSeg": {"fg_iou": 0.1 * epoch, "f_score": None, "num_images": 1}}
        lines.append(json.dumps(record))
    (folder / "log.txt").write_text("\n".join(lines))
    config = {"data": {"val_data_cfg_paths": [str(ROOT / "data_configs/eval/textseg.yaml")]}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def test_curves_of_a_run(tmp_path):
    write_run(tmp_path / "a", 4, 8.0)
    curves = read_run(tmp_path / "a")
    assert list(curves) == [
        *("total", "lr", "task_gap", "text_segmentation/smooth_l1", "TextSeg: fgIoU")
    ]
    assert curves["total"] == {1: 8.0, 2: 4.0, 3: pytest.approx(8 / 3), 4: 2.0}
    assert curves["TextSeg: fgIoU"] == pytest.approx({2: 0.1, 4: 0.3})


@pytest.mark.slow
def test_runs_are_drawn_into_one_picture(tmp_path):
    for name, loss in (("a", 8.0), ("b", 80.0)):
        write_run(tmp_path / name, 4, loss)
    one, two = ({name: read_run(tmp_path / name) for name in names} for names in ("a", "ab"))
    pictures = []
    for number, runs in enumerate((one, two)):
        draw(runs, tmp_path / f"{number}.png")
        pictures.append(
            np.asarray(Image.open(tmp_path / f"{number}.png").convert("RGB")).astype(int)
        )
    assert pictures[0].shape == pictures[1].shape
    assert (abs(pictures[0] - pictures[1]).max(axis=2) > 50).any()  # the line of the second run
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.png", "1.png", "a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no log.txt, expected the --output_dir of a training"),
        ("", "has no finished epoch yet"),
        ("Hello", "not a log of main.py"),
        ('{"epoch": 0}', "not a log of main.py"),
    ],
)
def test_other_folders_are_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "log.txt").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_run(tmp_path)
