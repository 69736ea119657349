"""What a run says before its first step: one test per warning, and the summary."""

import os
import shutil

import pytest
import torch
from small_run import DATA, ROOT

import startup
from datasets import build_dataset
from models import build_upocr
from options import resolve

TRAIN, EVAL = "data_configs/train/scut-enstext.yaml", "data_configs/eval/scut-enstext.yaml"


@pytest.fixture(autouse=True)
def in_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def said(train=(TRAIN,), val=(EVAL,), data_root=DATA, **given: object) -> list[str]:
    """Warnings of a run whose options cause none, apart from those given."""
    calm = {"batch_size": 1, "num_workers": 1, "output_dir": "out"}
    options = resolve({**calm, "data_cfg_paths": train, "val_data_cfg_paths": val, **given}, {})
    datasets = [[build_dataset(path, 32, data_root) for path in paths] for paths in (train, val)]
    return list(startup.warnings(options, *datasets))


def test_an_ordinary_run_is_not_warned():
    assert said() == []


def test_training_on_an_evaluation_configuration():
    (line,) = said(train=(EVAL,), val=())
    assert line.startswith(f"{EVAL}: no random transform")
    assert "data_configs/train" in line


def test_validating_with_random_transforms():
    lines = said(train=("data_configs/train/textseg.yaml",), val=(TRAIN,))
    assert [line.split(":")[0] for line in lines] == [TRAIN]
    assert "leaves out its random transforms" in lines[0]


def test_the_same_images_in_training_and_validation(tmp_path):
    config = tmp_path / "val.yaml"
    config.write_text((ROOT / EVAL).read_text().replace("split: test", "split: train"))
    (line,) = said(val=(str(config),))
    assert line.startswith("SCUT-EnsText: 2 of 2 validation images are trained on, such as ")


def test_a_copy_of_a_training_image_in_validation(tmp_path):
    shutil.copytree(DATA / "TextRemoval", tmp_path / "TextRemoval")
    root = tmp_path / "TextRemoval/SCUT-EnsText"
    source = min((root / "train/image").iterdir())
    shutil.copy(source, root / "test/image/3.jpg")
    (line,) = said(data_root=tmp_path)
    assert line.startswith("SCUT-EnsText: 1 of 3 validation images are trained on, such as ")
    assert line.endswith("test/image/3.jpg; validate on others")
    content = bytearray(source.read_bytes())
    content[-1] ^= 1  # of the same size, and another image
    (root / "test/image/3.jpg").write_bytes(content)
    shutil.copystat(source, root / "test/image/3.jpg")
    assert said(data_root=tmp_path) == []


def test_a_batch_larger_than_its_data_set():
    (line,) = said(batch_size=3)
    assert line.startswith("SCUT-EnsText: 2 images for 3 samples per step")
    assert said(batch_size=2) == []


def test_a_warm_up_longer_than_the_training():
    (line,) = said(epochs=5, warmup_epochs=10, lr=5e-4, warmup_min_lr=1e-4)
    assert line == (
        "--warmup_epochs 10 outlast --epochs 5: the learning rate ends at 0.00026 and never "
        "reaches --lr 0.0005; shorten the warm-up"
    )
    assert said(epochs=11, warmup_epochs=10) == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"lr": 5e-5}, ["warmup_min_lr"]),
        ({"lr": 5e-5, "warmup_epochs": 0}, []),
        ({"lr": 5e-6}, ["warmup_min_lr", "min_lr"]),
        ({"lr": 5e-5, "warmup_min_lr": 1e-5}, []),
    ],
)
def test_a_bound_above_the_learning_rate(options, named):
    lines = said(**options)
    assert [line.split()[0] for line in lines] == [f"--{name}" for name in named]
    assert all(line.endswith(f"lower --{name}") for name, line in zip(named, lines, strict=True))


@pytest.mark.parametrize("name", ["lr", "lr_encoder_ratio"])
def test_a_learning_rate_of_zero(name):
    (line,) = said(**{name: 0.0})
    assert line.startswith(f"--{name} is 0: ")


def test_more_loader_processes_than_memory(monkeypatch):
    monkeypatch.setattr(startup, "available_memory", lambda: 2**30)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert said(num_workers=3) == []
    (line,) = said(num_workers=8)
    assert line == (
        "--num_workers 8 in 1 processes need about 2.3 GiB, 1.0 GiB are available; lower "
        "--num_workers"
    )
    monkeypatch.setattr(os, "cpu_count", lambda: 3)  # no more processes than cores
    assert said(num_workers=8) == []


def test_the_summary_names_what_matters():
    options = resolve({"data_cfg_paths": (TRAIN,), "output_dir": "out", "batch_size": 4}, {})
    datasets = [build_dataset(TRAIN, 32, DATA)]
    model = build_upocr("upocr_nano", ("text_removal",))
    facts = torch.device("cpu"), torch.bfloat16, model, model.tasks
    lines = startup.summary(options, *facts, datasets, [], image_size=64, start_epoch=2)
    text = "\n".join(lines)
    for part in (
        *("cpu, 1 process, bfloat16 mixed precision", "5.8 M parameters; images of 64 x 64"),
        *("text_removal", "SCUT-EnsText (text_removal): 2 images", "out"),
        "epochs 3 to 400, 200 steps each; 4 images per step (4 of each training set)",
    ):
        assert part in text
    assert all(len(line) <= 100 for line in lines)
    model.encoder.requires_grad_(False)
    lines = startup.summary(options, *facts, datasets, [], image_size=64, start_epoch=0)
    assert "M of them trained" in "\n".join(lines)
