"""Own data: a folder of images, a folder of targets and a YAML file are enough."""

from pathlib import Path

import numpy as np
import pytest

from datasets import build_dataset
from datasets.check.discovery import find_datasets
from datasets.check.report import check
from utils.image import write_png

TASKS = {
    "removal": "text_removal",
    "segmentation": "text_segmentation",
    "detection": "tampered_text_detection",
}


@pytest.fixture(params=TASKS)
def own(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """Task's short name and a YAML file for two samples of one's own."""
    kind, folder = request.param, tmp_path / "own/train"
    for shade, name in ((60, "a"), (90, "b.v2")):
        write_png(folder / f"image/{name}.png", np.full((40, 50, 3), shade, dtype=np.uint8))
        label = np.zeros((40, 50), dtype=np.uint8)
        label[5:15, 5:25], label[20:30, 5:25] = 255, 128
        if kind == "detection":
            (folder / "label").mkdir(exist_ok=True)
            (folder / f"label/{name}.txt").write_text("5,5,24,14,2\n")
        elif kind == "segmentation":
            write_png(folder / f"label/{name}.png", label)
        else:
            write_png(folder / f"label/{name}.png", np.full((40, 50, 3), shade, dtype=np.uint8))
            write_png(folder / f"mask/{name}.png", np.where(label == 255, 0, 255).astype(np.uint8))
    config = tmp_path / f"{kind}.yaml"
    config.write_text(
        f"task: {TASKS[kind]}\ndataset: {kind}_folders\nname: own\nroot: own\nsplit: train\n"
        "transforms: [resize]\n"
    )
    return kind, config


def test_own_data_are_read(own: tuple[str, Path]):
    kind, config = own
    data = build_dataset(config, 32, config.parent)
    assert [item.name for item in data.items] == ["a", "b.v2"]
    sample = data[1, 5]
    assert sample["task"] == TASKS[kind]
    assert sample["image"].shape == sample["label"].shape == (3, 32, 32)
    if kind == "segmentation":
        assert set(data[0]["label"].unique().tolist()) == {0, 128, 255}
    if kind == "detection":
        assert (data[0]["label"][10, 10] == data[0]["label"].new_tensor([0, 0, 255])).all()


@pytest.mark.parametrize("by_config", [True, False])
def test_own_data_are_checked(own: tuple[str, Path], by_config: bool):
    kind, config = own
    (found,) = find_datasets([config if by_config else config.parent / "own"], config.parent)
    assert found.dataset.task == TASKS[kind]
    assert check(found)["problems"] == []


@pytest.mark.parametrize("own", ["segmentation"], indirect=True)
def test_own_label_with_another_value_is_found(own: tuple[str, Path]):
    _, config = own
    write_png(config.parent / "own/train/label/a.png", np.full((40, 50), 100, dtype=np.uint8))
    (found,) = find_datasets([config], config.parent)
    ((path, message),) = check(found)["problems"]
    assert Path(path).name == "a.png"
    assert "label values 100" in message


def test_missing_target_is_named(own: tuple[str, Path]):
    _, config = own
    next((config.parent / "own/train/label").glob("a.*")).unlink()
    with pytest.raises(ValueError, match=r"a\.png: no file a"):
        build_dataset(config, 32, config.parent)
