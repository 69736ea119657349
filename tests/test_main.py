"""The command line from end to end, on the small data set and a very small network."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from small_run import (
    COMMON,
    DATA,
    EVAL,
    NAMES,
    ROOT,
    TRAIN,
    TRAINING,
    official_checkpoint,
    torchrun,
)  # fmt: skip
from vectors import reference_parameter

import trainer
from engine import task_gap
from eval import report
from models.checkpoint import build_from_checkpoint, load_checkpoint
from tasks import OFFICIAL_TASKS

REMOVAL = "TextRemoval/SCUT-EnsText"


def assert_same(a: object, b: object, where: str = "") -> None:
    """Bit for bit, through nested containers."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert list(a) == list(b), where
        for key in a:
            assert_same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}/{index}")
    else:
        assert a == b, where


@pytest.mark.slow
def test_resume_alone_continues_bit_for_bit(command, resume, tmp_path, monkeypatch):
    options = [*TRAINING, "--epochs", "4", "--num_workers", "2", "--swin_enc_drop_path_rate", "0.5"]
    command(*options, "--output_dir", tmp_path / "whole")

    train_one_epoch = trainer.train_one_epoch

    def stop_before_third(model, criterion, batches, optimizer, scaler, log, **options):
        if log.epoch == 2:
            raise KeyboardInterrupt
        return train_one_epoch(model, criterion, batches, optimizer, scaler, log, **options)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "train_one_epoch", stop_before_third)
        with pytest.raises(KeyboardInterrupt):
            command(*options, "--output_dir", tmp_path / "parts")
    torch.rand(7)  # whatever happens between the two
    resume("--resume", tmp_path / "parts" / "checkpoint_last.pth")

    whole, parts = (
        torch.load(tmp_path / run / "checkpoint_last.pth", weights_only=True)
        for run in ("whole", "parts")
    )
    assert whole["epoch"] == 3
    folders = [run.pop("options")["run"].pop("output_dir") for run in (whole, parts)]
    assert folders == [str(tmp_path / "whole"), str(tmp_path / "parts")]
    assert_same(whole, parts)
    logs = [(tmp_path / run / "log.txt").read_text() for run in ("whole", "parts")]
    assert logs[0] == logs[1]


@pytest.mark.slow
def test_seed_decides_everything(command, tmp_path):
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        options = ["--epochs", "1", "--seed", seed, "--output_dir", tmp_path / folder]
        command(*TRAINING, *options)
    a, b, c = (
        torch.load(tmp_path / f / "checkpoint_last.pth", weights_only=True)["model"] for f in "abc"
    )
    assert_same(a, b)
    assert not torch.equal(a["proj.weight"], c["proj.weight"])


@pytest.mark.slow
def test_without_task_prompts_all_tasks_are_one_picture(command, tmp_path):
    options = [*TRAINING, "--task_prompts", "false", "--output_dir", tmp_path]
    last = tmp_path / "checkpoint_last.pth"
    for more in (["--epochs", "1"], ["--epochs", "2", "--resume", last]):
        command(*options, *more)
        model = build_from_checkpoint(load_checkpoint(last))
        assert not model.task_prompt.task_embedding.weight.any()
        assert task_gap(model.eval(), torch.rand(1, 3, 64, 64), OFFICIAL_TASKS) == 0


@pytest.mark.slow
def test_trained_checkpoint_is_evaluated_without_further_options(command, checkpoint, tmp_path):
    common = [*COMMON, "--eval", "true", "--resume", checkpoint]
    command(*common, "--eval_data_cfg_path", *EVAL, "--visualize", "true", "--output_dir", tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert list(metrics) == NAMES
    for record, task in zip(metrics.values(), OFFICIAL_TASKS, strict=True):
        assert record["task"] == task
        assert record["checkpoint"] == str(checkpoint)
        assert record["image_size"] == 64  # as it was trained
        assert record["protocol"]
    counts = {name: metrics[name]["num_images"] for name in NAMES}
    assert counts == {"SCUT-EnsText": 3, "Tampered-IC13": 2, "TextSeg": 1}
    for name, count in counts.items():
        pictures = sorted((tmp_path / name).glob("*.png"))
        assert len(pictures) == count
    # At the size of the input, not of the network.
    assert Image.open(tmp_path / "SCUT-EnsText" / "1.png").size == (160, 120)

    # A later run on one data set replaces its record only.
    command(*common, "--eval_data_cfg_path", EVAL[2], "--textseg_conf_thres", "0.9",
            "--output_dir", tmp_path)  # fmt: skip
    again = json.loads((tmp_path / "metrics.json").read_text())
    assert again["SCUT-EnsText"] == metrics["SCUT-EnsText"]
    assert again["TextSeg"]["threshold"] == 0.9


def test_official_checkpoint_is_evaluated(command, state_dict_keys, tmp_path):
    official_checkpoint(tmp_path / "official.pth", state_dict_keys["tiny"])
    command(
        *(*COMMON, "--eval", "true", "--resume", tmp_path / "official.pth", "--pix2pix_size", "64"),
        *("--eval_data_cfg_path", EVAL[2], "--output_dir", tmp_path / "out"),
    )
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert 0 <= metrics["TextSeg"]["fg_iou"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--pretrained_model", "--resume"])
def test_official_checkpoint_starts_training(command, state_dict_keys, tmp_path, option):
    path = tmp_path / "official.pth"
    official_checkpoint(path, state_dict_keys["tiny"])
    # Without --vgg16_weights: the file brings its own, so nothing is downloaded.
    command(
        *(*COMMON, "--data_cfg_paths", *TRAIN, option, path, "--output_dir", tmp_path / "out"),
        *(
            "--batch_size",
            "1",
            "--iter_per_epoch",
            "1",
            "--epochs",
            "9" if "res" in option else "1",
        ),
        *("--lr", "1e-9", "--warmup_min_lr", "1e-9", "--min_lr", "1e-9", "--pix2pix_size", "64"),
    )
    written = torch.load(tmp_path / "out" / "checkpoint_last.pth", weights_only=True)
    assert written["epoch"] == (8 if option == "--resume" else 0)
    assert written["architecture"]["embed_dim"] == 24
    assert written["architecture"]["enc_drop_path"] == 0.1
    expected = reference_parameter("proj.weight", (192, 192))
    torch.testing.assert_close(written["model"]["proj.weight"], expected, atol=1e-6, rtol=0)


@pytest.fixture
def five_images(tmp_path) -> Path:
    """The three layouts with five evaluation images each: no number of processes divides it."""
    root = tmp_path / "data"
    shutil.copytree(DATA, root)
    removal = root / "TextRemoval" / "SCUT-EnsText" / "test"
    for name in ("4", "5"):
        for kind in ("image", "label", "mask"):
            shutil.copy(removal / kind / "1.jpg", removal / kind / f"{name}.jpg")
        mirrored = Image.open(removal / "image" / "2.jpg").rotate(180 if name == "4" else 0)
        mirrored.save(removal / "image" / f"{name}.jpg")
        shutil.copy(removal / "label" / "2.jpg", removal / "label" / f"{name}.jpg")
        shutil.copy(removal / "mask" / "2.jpg", removal / "mask" / f"{name}.jpg")
    detection = root / "TamperedTextDetection" / "Tampered-IC13"
    for name in ("102", "103", "104"):
        shutil.copy(detection / "test_img" / "101.jpg", detection / "test_img" / f"{name}.jpg")
        shutil.copy(detection / "test_gt" / "101.txt", detection / "test_gt" / f"{name}.txt")
    (detection / "test_gt" / "103.txt").write_text("")
    segmentation = root / "TextSegmentation" / "TextSeg"
    split = json.loads((segmentation / "split.json").read_text())
    (first,) = split["test"]
    split["test"] += [f"b000{index}" for index in range(4)]
    (segmentation / "split.json").write_text(json.dumps(split))
    for index, name in enumerate(split["test"][1:]):
        for file in (f"image/{first}.jpg", f"semantic_label/{first}_maskfg.png"):
            picture = Image.open(segmentation / file)
            picture.rotate(90 * index, expand=True).save(segmentation / file.replace(first, name))
    return root


@pytest.mark.long
def test_metrics_do_not_depend_on_the_number_of_processes(checkpoint, five_images, tmp_path):
    found = []
    for processes in (1, 2, 3):
        folder = tmp_path / f"out{processes}"
        result = torchrun(
            *(processes, "--data_root", five_images, *COMMON, "--eval", "true"),
            *("--resume", checkpoint, "--eval_data_cfg_path", *EVAL, "--output_dir", folder),
        )
        assert result.returncode == 0, result.stderr
        found.append(json.loads((folder / "metrics.json").read_text()))
    assert {name: record["num_images"] for name, record in found[0].items()} == dict.fromkeys(
        NAMES, 5
    )
    assert found[0] == found[1] == found[2]


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path):
    result = torchrun(
        *(2, "--data_root", DATA, *TRAINING, "--epochs", "1", "--amp", "true"),
        *("--pix2pix_size", "32"),  # bfloat16 is slow on old processors
        *("--output_dir", tmp_path / "two"),
    )
    assert result.returncode == 0, result.stderr
    written = torch.load(tmp_path / "two" / "checkpoint_last.pth", weights_only=True)
    assert len(written["rng"]) == 2
    assert written["loader"] == {"step": 2, "position": 4}
    assert len((tmp_path / "two" / "log.txt").read_text().splitlines()) == 1


@pytest.mark.slow
def test_two_processes_train_as_one_with_their_joint_batch(command, tmp_path):
    # The loss of removal is a mean over samples, so equal shares give the gradient of the whole.
    # Each process drops other paths, so none are dropped here.
    options = [*TRAINING, "--epochs", "2", "--data_cfg_paths", TRAIN[0], "--vgg16_weights", "none"]
    options += ["--swin_enc_drop_path_rate", "0", "--swin_dec_drop_path_rate", "0"]
    # Adam turns the rounding of tiny gradients into whole steps, so the steps are tiny.
    options += ["--lr", "1e-8", "--min_lr", "0", "--warmup_min_lr", "1e-8"]
    command(*options, "--batch_size", "2", "--output_dir", tmp_path / "one")
    result = torchrun(2, "--data_root", DATA, *options, "--output_dir", tmp_path / "two")
    assert result.returncode == 0, result.stderr
    logs = [(tmp_path / run / "log.txt").read_text().splitlines() for run in ("one", "two")]
    one, two = ([json.loads(line)["train"] for line in log] for log in logs)
    for a, b in zip(one, two, strict=True):
        assert a["total"] == pytest.approx(b["total"], rel=1e-5)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-4)


@pytest.mark.slow
def test_validation_keeps_the_best_checkpoint_of_each_task(command, tmp_path, monkeypatch, capsys):
    # Two data sets of one task count as their mean; None: images without labels.
    scores = {
        "SCUT-EnsText": [20.0, 10.0, 30.0],
        "Tampered-IC13": [0.5, 0.6, 0.4],
        "TextSeg": [None, 0.1, 0.1],
        "other": [10.0, 30.0, 10.0],
    }
    calls = dict.fromkeys(scores, 0)

    def fake(options, model, dataset, *others):
        calls[dataset.name] += 1
        return {"num_images": 1}, scores[dataset.name][calls[dataset.name] - 1]

    monkeypatch.setattr(trainer, "run_evaluation", fake)
    other = tmp_path / "other.yaml"
    other.write_text((ROOT / EVAL[0]).read_text().replace("SCUT-EnsText\n", "other\n", 1))
    command(
        *(*TRAINING, "--epochs", "3", "--val_data_cfg_paths", *EVAL, other),
        *("--eval_interval", "1", "--output_dir", tmp_path),
    )
    assert calls == dict.fromkeys(scores, 3)
    best = [
        torch.load(tmp_path / f"checkpoint_best_{task}.pth", weights_only=True)
        for task in OFFICIAL_TASKS
    ]
    assert [file["epoch"] for file in best] == [1, 1, 1]  # of 15 20 20, .5 .6 .4, none .1 .1
    last = torch.load(tmp_path / "checkpoint_last.pth", weights_only=True)
    assert last["epoch"] == 2
    assert last["best"] == dict(zip(OFFICIAL_TASKS, (20.0, 0.6, 0.1), strict=True))
    lines = [line.partition(" ")[2] for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line.startswith("new best of text_removal")] == [
        "new best of text_removal: 15",
        "new best of text_removal: 20, before 15",
    ]
    path = tmp_path / "checkpoint_best_tampered_text_detection.pth"
    assert f"best tampered_text_detection: 0.6 in {path}" in lines[-5:]
    last_path = tmp_path / "checkpoint_last.pth"
    assert lines[-1].endswith(f"predict.py IMAGE --task all --weights {last_path} --output_dir out")


@pytest.mark.slow
def test_starting_weights_are_validated_on_request(command, tmp_path, capsys):
    options = [*TRAINING, "--epochs", "1", "--val_data_cfg_paths", EVAL[2]]
    command(*options, "--validate_first", "true", "--output_dir", tmp_path)
    lines = [line.partition(" ")[2] for line in capsys.readouterr().out.splitlines()]
    validated = [index for index, line in enumerate(lines) if line.startswith("TextSeg   ")]
    trained = [index for index, line in enumerate(lines) if line.startswith("epoch 1")]
    assert len(validated) == 2
    assert validated[0] < trained[0] < trained[-1] < validated[1]
    assert len((tmp_path / "log.txt").read_text().splitlines()) == 1


@pytest.mark.slow
def test_an_interruption_names_the_checkpoint_to_go_on_with(command, tmp_path, monkeypatch, capsys):
    train_one_epoch = trainer.train_one_epoch

    def interrupted(model, criterion, batches, optimizer, scaler, log, **options):
        if log.epoch == 1:
            raise KeyboardInterrupt
        return train_one_epoch(model, criterion, batches, optimizer, scaler, log, **options)

    monkeypatch.setattr(trainer, "train_one_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        command(*TRAINING, "--epochs", "2", "--output_dir", tmp_path)
    assert capsys.readouterr().out.endswith(
        f"continue with --resume {tmp_path / 'checkpoint_last.pth'}\n"
    )


@pytest.mark.slow
def test_validation_is_written_to_the_log_and_printed(command, tmp_path, capsys):
    command(
        *(*TRAINING, "--epochs", "3", "--val_data_cfg_paths", *EVAL, "--eval_interval", "2"),
        *("--output_dir", tmp_path),
    )
    lines = [json.loads(line) for line in (tmp_path / "log.txt").read_text().splitlines()]
    assert [sorted(line.get("val", ())) for line in lines] == [[], sorted(NAMES), sorted(NAMES)]
    assert lines[1]["val"]["TextSeg"]["num_images"] == 1
    # On the screen: tables for people, twice each.
    printed = capsys.readouterr().out
    for name in NAMES:
        shown = report(OFFICIAL_TASKS[NAMES.index(name)], name, lines[2]["val"][name])
        assert len(shown) > 2
        assert all(line in printed for line in shown)
        assert printed.count(f" {name:<16} ") == 2
    assert not re.search(r"\d\.\d{12}", printed)  # seven digits, and leading zeros
    assert "{" not in printed


class Notes:
    """A tracker that keeps what it gets."""

    def __init__(self) -> None:
        self.points: list[tuple[int, set[str]]] = []
        self.pictures: list[tuple[int, str, tuple[int, ...]]] = []
        self.closed = 0

    def numbers(self, values: dict[str, float], step: int) -> None:
        assert all(isinstance(value, int | float) for value in values.values())
        self.points.append((step, set(values)))

    def picture(self, name: str, picture: np.ndarray, step: int) -> None:
        self.pictures.append((step, name, picture.shape))

    def close(self) -> None:
        self.closed += 1

    def steps(self, name: str) -> list[int]:
        return [step for step, names in self.points if name in names]


@pytest.mark.slow
def test_trackers_get_a_point_per_line_and_pictures_per_validation(
    command, resume, tmp_path, monkeypatch
):
    notes, starts = Notes(), []

    def build(folder, config, start_step, **wanted: bool) -> list[Notes]:
        assert config["run"]["output_dir"] == str(folder) == str(tmp_path)
        assert wanted == {"tensorboard": True, "wandb": False}
        starts.append(start_step)
        return [notes]

    monkeypatch.setattr(trainer, "build_trackers", build)
    command(
        *(*TRAINING, "--epochs", "2", "--iter_per_epoch", "5", "--print_freq", "2"),
        *("--val_data_cfg_paths", EVAL[2], "--validate_first", "true", "--eval_interval", "2"),
        *("--tensorboard", "true", "--output_dir", tmp_path),
    )
    lines = [2, 4, 5, 7, 9, 10]  # steps of the whole training
    for name in ("train/total", "train/grad_norm", "train/text_removal/msr", "lr"):
        assert notes.steps(name) == lines
    assert notes.steps("task_gap") == [5, 10]
    assert notes.steps("val/TextSeg/fg_iou") == [0, 10]
    shape = (256 + 2 * 8 + 32, 3 * (256 + 8) + 8, 3)  # one image
    assert notes.pictures == [(step, "val/TextSeg", shape) for step in (0, 10)]
    sheet = Image.open(tmp_path / "validation" / "TextSeg_sheet.png")
    assert sheet.size == shape[1::-1]
    assert notes.closed == 1
    resume("--resume", tmp_path / "checkpoint_last.pth", "--epochs", "3")
    assert notes.steps("lr") == [*lines, 12, 14, 15]
    assert starts == [0, 10]


def test_configuration_is_saved_as_resolved(checkpoint):
    config = yaml.safe_load((checkpoint.parent / "config.yaml").read_text())
    assert list(config) == ["run", "data", "optimisation", "model", "resolved"]
    assert config["model"]["swin_enc_embed_dim"] == 8
    assert config["resolved"]["architecture"]["embed_dim"] == 8
    assert config["resolved"]["device"] == "cpu"
    assert config["resolved"]["tasks"] == list(OFFICIAL_TASKS)


def test_config_reproduces_a_run(command, checkpoint, tmp_path):
    config = checkpoint.parent / "config.yaml"
    command("--config", config, "--output_dir", tmp_path)
    first, again = (
        torch.load(folder / "checkpoint_last.pth", weights_only=True)
        for folder in (checkpoint.parent, tmp_path)
    )
    for run in (first, again):
        run["options"]["run"].pop("output_dir")
    assert_same(first, again)
    logs = [(folder / "log.txt").read_text() for folder in (checkpoint.parent, tmp_path)]
    assert logs[0] == logs[1]


@pytest.mark.slow
def test_options_beside_a_resumed_run_override_and_are_logged(command, resume, tmp_path, capsys):
    command(*TRAINING, "--epochs", "1", "--output_dir", tmp_path)
    resume("--resume", tmp_path / "checkpoint_last.pth", "--epochs", "2", "--lr", "0.25")
    lines = [line for line in capsys.readouterr().out.splitlines() if "resumed run" in line]
    assert [line.split(" ", 1)[1] for line in lines] == [
        "--epochs is 2, the resumed run had 1",
        "--lr is 0.25, the resumed run had 0.0005",
    ]
    written = torch.load(tmp_path / "checkpoint_last.pth", weights_only=True)
    assert written["epoch"] == 1
    assert written["options"]["optimisation"]["lr"] == 0.25


def test_diverged_training_stops_and_names_the_last_good_checkpoint(command, tmp_path, monkeypatch):
    command(*TRAINING, "--epochs", "1", "--output_dir", tmp_path)
    last = tmp_path / "checkpoint_last.pth"
    before = last.read_bytes()
    rates = ["--lr", "1e30", "--warmup_epochs", "0", "--clip_max_norm", "0"]
    with pytest.raises(
        ValueError, match="loss is not finite at epoch 2, step 2: total nan"
    ) as error:
        command(*TRAINING, *rates, "--epochs", "3", "--output_dir", tmp_path, "--resume", last)
    assert "text_segmentation/smooth_l1" in str(error.value)
    assert str(error.value).endswith(f"last good checkpoint: {last}")
    assert last.read_bytes() == before


@pytest.mark.parametrize("rate", ["1e30", "1e38"])
def test_a_diverged_update_is_not_saved(command, tmp_path, rate):
    rates = ["--lr", rate, "--warmup_epochs", "0", "--iter_per_epoch", "1"]
    message = "update at epoch 1, step 1 left weights .* last good checkpoint: none"
    with pytest.raises(ValueError, match=message):
        command(*TRAINING, *rates, "--epochs", "2", "--output_dir", tmp_path)
    assert not list(tmp_path.glob("*.pth"))


def test_images_without_labels_give_pictures_and_a_count(command, checkpoint, tmp_path):
    root = tmp_path / "data"
    images = root / REMOVAL / "test" / "image"
    images.mkdir(parents=True)
    Image.fromarray(np.full((50, 70, 3), 90, np.uint8)).save(images / "a.b.png")
    command(
        *(*COMMON, "--eval", "true", "--resume", checkpoint, "--eval_data_cfg_path", EVAL[0]),
        *("--output_dir", tmp_path / "out"),
        data_root=root,
    )
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["SCUT-EnsText"]["num_images"] == 1
    assert "paper" not in metrics["SCUT-EnsText"]
    assert Image.open(tmp_path / "out" / "SCUT-EnsText" / "a.b.png").size == (70, 50)
