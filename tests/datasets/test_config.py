"""data_configs/: what a YAML file may say, and the line that answers anything else."""

import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from datasets import DATASETS, MultiTaskLoader, build_dataset
from datasets.check.discovery import find_datasets
from datasets.check.report import check
from tasks import TASKS

TESTS = Path(__file__).parents[1]
CONFIGS = TESTS.parent / "data_configs"
GOOD = yaml.safe_load((CONFIGS / "train" / "scut-enstext.yaml").read_text())


def _write(folder: Path, config: object) -> Path:
    path = folder / "custom.yaml"
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
    return path


@pytest.mark.parametrize("phase", ["train", "eval"])
@pytest.mark.parametrize(
    ("config", "task", "name"),
    [
        ("scut-enstext", "text_removal", "SCUT-EnsText"),
        ("tampered-ic13", "tampered_text_detection", "Tampered-IC13"),
        ("textseg", "text_segmentation", "TextSeg"),
    ],
)
def test_shipped_configs_build(phase: str, config: str, task: str, name: str) -> None:
    dataset = build_dataset(CONFIGS / phase / f"{config}.yaml", 32, TESTS / "data")
    assert (dataset.task, dataset.name) == (task, name)
    assert dataset[0]["image"].shape == (3, 32, 32)


def test_absolute_root_ignores_data_root(tmp_path: Path) -> None:
    config = GOOD | {"root": str(TESTS / "data" / GOOD["root"])}
    assert len(build_dataset(_write(tmp_path, config), 32, tmp_path / "nowhere")) == 2


CROP = {"probability": 0.5, "min_ratio": 0.7, "max_ratio": 1.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Task": "text_removal"}, "unknown key 'Task', expected dataset, name, root, split, task"),
        ({"task": "text_spotting"}, "task is 'text_spotting', but scut_enstext is for 'text_rem"),
        ({"task": "text_segmentation"}, "task is 'text_segmentation', but scut_enstext is for"),
        ({"dataset": "icdar"}, "unknown dataset 'icdar', expected one of removal_folders, seg"),
        ({"split": "val"}, "unknown split 'val', expected one of train, test"),
        ({"split": 3}, "split is 3, expected a word"),
        ({"root": ""}, "root is '', expected a word"),
        ({"root": "elsewhere"}, "elsewhere/train/image: missing folder"),
        ({"name": "a/b"}, "name is 'a/b', expected a folder name"),
        ({"transforms": "resize"}, "transforms is 'resize', expected a list of transforms"),
        ({"transforms": []}, r"transforms is \[\], expected a list of transforms"),
        (
            {"transforms": ["blur", "resize"]},
            "unknown transform 'blur', expected one of random_crop",
        ),
        ({"transforms": [3, "resize"]}, "transform 3: expected 'name' or"),
        ({"transforms": [{"resize": None}]}, "expected 'name' or 'name: {argument: number}'"),
        (
            {"transforms": [{"resize": {"size": 3}}]},
            "unknown argument of resize 'size', expected none",
        ),
        ({"transforms": [{"random_crop": CROP}]}, "transforms must end with resize"),
        ({"transforms": ["resize", "resize"]}, "transforms must end with resize, and name it once"),
        ({"transforms": ["random_crop", "resize"]}, "missing argument of random_crop 'max_ratio'"),
        (
            {"transforms": [{"random_crop": CROP | {"ratio": 1}}, "resize"]},
            "unknown argument of random_crop 'ratio', expected max_ratio, min_ratio, probability",
        ),
        (
            {"transforms": [{"random_crop": CROP | {"probability": 1.5}}, "resize"]},
            "random_crop: probability is 1.5, expected 0 to 1",
        ),
        (
            {"transforms": [{"random_crop": CROP | {"max_ratio": 0.5}}, "resize"]},
            "random_crop: min_ratio is 0.7, expected 0 to 0.5",
        ),
        (
            {"transforms": [{"random_crop": CROP | {"min_ratio": True}}, "resize"]},
            "random_crop: min_ratio is True, expected a number",
        ),
    ],
)
def test_wrong_value_is_named(tmp_path: Path, change: dict, message: str) -> None:
    path = _write(tmp_path, GOOD | change)
    with pytest.raises(ValueError, match=message) as error:
        build_dataset(path, 32, TESTS / "data")
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", GOOD)
def test_missing_key_is_named(tmp_path: Path, key: str) -> None:
    path = _write(tmp_path, {name: value for name, value in GOOD.items() if name != key})
    with pytest.raises(ValueError, match=f"custom.yaml: missing key '{key}', expected dataset"):
        build_dataset(path, 32, TESTS / "data")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the keys task, dataset, name"),
        ("- a\n- b\n", "expected the keys task, dataset, name"),
        ("task: [\nroot: x", "not a YAML file"),
        ("task: a\ttask: b\n  c: d\n", "not a YAML file"),
    ],
)
def test_unreadable_yaml(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"custom.yaml: {message}") as error:
        build_dataset(_write(tmp_path, text), 32)
    assert "\n" not in str(error.value)


def test_missing_yaml(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.yaml: no such file"):
        build_dataset(tmp_path / "none.yaml", 32)


MODULE = """
from datasets import DATASETS
from datasets.folders import SegmentationFolders
from tasks import TASKS, TEXT_SEGMENTATION, Task

TASKS.register("seals")(Task("seals", "Seals", TEXT_SEGMENTATION.classes))


@DATASETS.register("seal_folders")
class SealFolders(SegmentationFolders):
    task = "seals"
"""


def test_module_registers_further_tasks_and_data_sets(tmp_path, monkeypatch) -> None:
    for folder, mode in (("image", "RGB"), ("label", "L")):
        (tmp_path / "own/mine" / folder).mkdir(parents=True)
        Image.new(mode, (9, 7)).save(tmp_path / "own/mine" / folder / "a.png")
    (tmp_path / "seals.py").write_text(MODULE)
    own = {"dataset": "seal_folders", "root": "own", "split": "mine", "transforms": ["resize"]}
    path = _write(tmp_path, GOOD | own | {"task": "seals", "module": "seals"})
    with pytest.raises(ValueError, match=r"custom\.yaml: no module named 'seals': put seals\.py"):
        build_dataset(path, 32, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        dataset = build_dataset(path, 32, tmp_path)
        segmentation = build_dataset(CONFIGS / "train/textseg.yaml", 32, TESTS / "data")
        loader = MultiTaskLoader([dataset, segmentation], batch_size=1, seed=0)
        assert next(loader).tasks == ["text_segmentation", "seals"]
        assert check(find_datasets([path], tmp_path)[0])["task"] == "seals"
    finally:
        TASKS.pop("seals", None)
        DATASETS.pop("seal_folders", None)
        sys.modules.pop("seals", None)


def test_repeated_key_is_named(tmp_path: Path) -> None:
    text = yaml.safe_dump(GOOD) + "split: test\n"
    with pytest.raises(ValueError, match="the key 'split' appears twice"):
        build_dataset(_write(tmp_path, text), 32)
