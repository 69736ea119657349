"""What a run finds in its output folder and in the files it goes on from."""

import json
import re

import pytest
import torch
from small_run import COMMON, EVAL, TRAINING

import trainer

STANDING = ["--lr", "0", "--min_lr", "0", "--warmup_min_lr", "0"]


def read(path) -> dict:
    return torch.load(path, weights_only=True)


def test_a_run_is_not_overwritten_by_accident(command, tmp_path):
    (tmp_path / "checkpoint_last.pth").write_bytes(b"precious")
    with pytest.raises(ValueError, match="exists: continue with --resume"):
        command(*TRAINING, "--epochs", "1", "--output_dir", tmp_path)
    assert (tmp_path / "checkpoint_last.pth").read_bytes() == b"precious"


def test_resuming_another_run_does_not_overwrite_this_one(command, checkpoint, tmp_path):
    (tmp_path / "checkpoint_last.pth").write_bytes(b"precious")
    with pytest.raises(ValueError, match="exists: continue with --resume"):
        command(*TRAINING, "--epochs", "2", "--output_dir", tmp_path, "--resume", checkpoint)
    assert (tmp_path / "checkpoint_last.pth").read_bytes() == b"precious"


@pytest.mark.parametrize("further", [[], ["--overwrite", "true"]])
def test_the_weights_to_begin_with_are_not_removed(command, checkpoint, tmp_path, further):
    path = tmp_path / "checkpoint_0400.pth"
    path.write_bytes(checkpoint.read_bytes())
    options = [*TRAINING, "--epochs", "1", "--output_dir", tmp_path, "--pretrained_model", path]
    message = "would delete" if further else "exists"
    with pytest.raises(ValueError, match=message):
        command(*options, *further)
    assert path.read_bytes() == checkpoint.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_overwrite_leaves_no_file_of_the_old_run(command, tmp_path):
    for name in ("checkpoint_last.pth", "checkpoint_0123.pth", "checkpoint_best_x.pth"):
        (tmp_path / name).write_bytes(b"old")
    (tmp_path / "log.txt").write_text('{"epoch": 122}\n')
    (tmp_path / "notes.md").write_text("mine")
    options = [*TRAINING, "--epochs", "1", "--output_dir", tmp_path]
    command(*options, "--overwrite", "true")
    assert {path.name for path in tmp_path.glob("*.pth")} == {
        "checkpoint_last.pth",
        "checkpoint_0001.pth",
    }
    assert read(tmp_path / "checkpoint_last.pth")["epoch"] == 0
    epochs = [json.loads(line)["epoch"] for line in (tmp_path / "log.txt").open()]
    assert epochs == [0]
    assert (tmp_path / "notes.md").read_text() == "mine"


@pytest.mark.slow
def test_going_back_drops_the_epochs_after_it_from_the_log(command, tmp_path):
    options = [*TRAINING, *STANDING, "--output_dir", tmp_path]
    command(*options, "--epochs", "3", "--save_interval", "1")
    earlier = tmp_path / "checkpoint_0001.pth"
    (tmp_path / "checkpoint_last.pth").unlink()
    command(*options, "--epochs", "2", "--resume", earlier)
    epochs = [json.loads(line)["epoch"] for line in (tmp_path / "log.txt").open()]
    assert epochs == [0, 1]


def test_resuming_does_not_load_pretrained_halves_again(command, checkpoint, tmp_path):
    other = tmp_path / "other.pth"
    weights = read(checkpoint)
    weights["model"] = {name: value + 1 for name, value in weights["model"].items()}
    torch.save(weights, other)
    halves = ["--pretrained_encoder", other, "--pretrained_decoder", other]
    options = [*TRAINING, *STANDING, *halves, "--output_dir", tmp_path / "out"]
    command(*options, "--epochs", "2", "--resume", checkpoint)
    before, after = read(checkpoint)["model"], read(tmp_path / "out/checkpoint_last.pth")["model"]
    for name, value in before.items():
        assert torch.equal(value, after[name]), name


@pytest.mark.slow
def test_resuming_takes_vgg16_from_the_pretraining_file_again(
    command, checkpoint, tmp_path, monkeypatch
):
    pretraining = read(checkpoint)
    vgg16 = trainer.build_vgg16("random").state_dict()
    pretraining["model"] |= {f"vgg16.{name}": value for name, value in vgg16.items()}
    torch.save(pretraining, tmp_path / "pretraining.pth")

    def unwanted(name, downloads):
        raise AssertionError(f"asked for {name}")

    monkeypatch.setattr(trainer, "build_vgg16", unwanted)
    options = [*TRAINING, "--vgg16_weights", "imagenet", "--output_dir", tmp_path / "out"]
    options += ["--pretrained_model", tmp_path / "pretraining.pth"]
    command(*options, "--epochs", "1")
    last = tmp_path / "out/checkpoint_last.pth"
    assert not any(name.startswith("vgg16") for name in read(last)["model"])
    command(*options, "--epochs", "2", "--resume", last)
    assert read(last)["epoch"] == 1


def test_options_of_the_optimizer_are_those_of_the_command_line(command, checkpoint, tmp_path):
    options = [*TRAINING, "--weight_decay", "0.25", "--lr_encoder_ratio", "0.5"]
    command(*options, "--epochs", "2", "--output_dir", tmp_path, "--resume", checkpoint)
    groups = read(tmp_path / "checkpoint_last.pth")["optimizer"]["param_groups"]
    assert {group["weight_decay"] for group in groups} <= {0.0, 0.25}
    assert any(group["weight_decay"] == 0.25 for group in groups)
    assert {group["lr_ratio"] for group in groups} == {0.5, 1.0}


def test_bare_weights_start_at_epoch_0_and_say_so(command, checkpoint, tmp_path, capsys):
    weights = read(checkpoint)
    bare = {name: weights[name] for name in ("model", "architecture", "tasks")}
    torch.save(bare, tmp_path / "bare.pth")
    options = [*TRAINING, "--epochs", "1", "--output_dir", tmp_path / "out"]
    command(*options, "--resume", tmp_path / "bare.pth")
    assert "bare.pth: weights only, no training state" in capsys.readouterr().out
    assert read(tmp_path / "out/checkpoint_last.pth")["epoch"] == 0


def test_pretrained_weights_may_get_other_windows_but_a_resumed_run_may_not(
    command, checkpoint, tmp_path
):
    options = [*TRAINING, *STANDING, "--swin_enc_window_size", "8"]
    folder = tmp_path / "out"
    command(*options, "--epochs", "1", "--pretrained_model", checkpoint, "--output_dir", folder)
    written = read(folder / "checkpoint_last.pth")
    assert written["architecture"]["enc_window_size"] == 8
    assert torch.equal(written["model"]["proj.weight"], read(checkpoint)["model"]["proj.weight"])
    with pytest.raises(ValueError, match="enc_window_size 4, the options ask for 8"):
        command(*options, "--epochs", "2", "--resume", checkpoint, "--output_dir", tmp_path / "b")


def test_without_vgg16_only_the_region_loss_is_left(command, tmp_path):
    options = [*TRAINING, "--vgg16_weights", "none", "--epochs", "1", "--output_dir", tmp_path]
    command(*options)
    (line,) = (tmp_path / "log.txt").read_text().splitlines()
    terms = [name for name in json.loads(line)["train"] if name.startswith("text_removal/")]
    assert terms == ["text_removal/msr"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, "not written by main.py --eval true") for text in ("[1, 2]", "3", '{"a": 1}')),
        *((text, "not JSON") for text in ("{", "")),
    ],
)
def test_foreign_metrics_are_not_replaced(command, checkpoint, tmp_path, text, message):
    (tmp_path / "metrics.json").write_text(text)
    options = [*COMMON, "--eval", "true", "--resume", checkpoint, "--eval_data_cfg_path", EVAL[2]]
    with pytest.raises(ValueError, match=re.escape(f"metrics.json: {message}")):
        command(*options, "--output_dir", tmp_path)
    assert (tmp_path / "metrics.json").read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]
