"""A run that is stopped anywhere goes on as if nothing had happened."""

import os
import signal
import subprocess
import sys

import pytest
import torch
from small_run import COMMON, DATA, EVAL, ROOT, TRAINING
from soak.kills import compare

import trainer
from datasets import MultiTaskLoader
from options import parse_command_line
from resuming import LAUNCHED, find_checkpoint
from utils import termination

LAST = "checkpoint_last.pth"
RUN = [
    *(*TRAINING, "--vgg16_weights", "none", "--swin_enc_drop_path_rate", "0.5"),
    *("--epochs", "2", "--iter_per_epoch", "5", "--print_freq", "3"),
    *("--val_data_cfg_paths", EVAL[2], "--eval_interval", "2"),
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Folder of a run that nobody stops."""
    folder = tmp_path_factory.mktemp("undisturbed")
    command = [sys.executable, "main.py", "--data_root", str(DATA), *RUN]
    subprocess.run([*command, "--output_dir", str(folder)], cwd=ROOT, check=True)
    return folder


@pytest.fixture
def sigterm():
    """Restores the handler, which a stopped run leaves as it is."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def at_step(monkeypatch, number, action):
    """Call `action` while the batch of a step is awaited, counted from 1 over all epochs."""
    take, steps = MultiTaskLoader.__next__, iter(range(1, 1000))

    def counted(loader):
        if next(steps) == number:
            action()
        return take(loader)

    monkeypatch.setattr(MultiTaskLoader, "__next__", counted)


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 4, 5, 8, 10])
def test_sigterm_saves_within_the_epoch_and_auto_goes_on_bit_for_bit(
    command, tmp_path, monkeypatch, capsys, undisturbed, sigterm, step
):
    options = [*RUN, "--resume", "auto", "--output_dir", tmp_path]
    with monkeypatch.context() as patch:
        at_step(patch, step, terminate)
        with pytest.raises(SystemExit) as stop:
            command(*options)
    assert stop.value.code == termination.EXIT_CODE == 75
    said = capsys.readouterr().out
    assert f"SIGTERM: saved epoch {(step - 1) // 5 + 1} up to step {(step - 1) % 5 + 1}" in said
    assert said.endswith(f"continue with --resume {tmp_path / LAST}\n")
    saved = torch.load(tmp_path / LAST, weights_only=True)
    assert (saved["epoch"], saved["progress"]["step"]) == ((step - 1) // 5 - 1, (step - 1) % 5 + 1)
    torch.rand(7)  # whatever happens between the two
    command(*options)
    assert compare(tmp_path, undisturbed) is None


@pytest.mark.slow
def test_a_state_within_the_epoch_is_saved_every_save_steps(
    command, tmp_path, monkeypatch, undisturbed
):
    options = [*RUN, "--save_steps", "2", "--output_dir", tmp_path]
    with monkeypatch.context() as patch:
        at_step(patch, 10, interrupt)
        with pytest.raises(KeyboardInterrupt):
            command(*options)
    saved = torch.load(tmp_path / LAST, weights_only=True)
    assert (saved["epoch"], saved["progress"]["step"]) == (0, 3)  # of 5 + 3 steps
    command(*options, "--save_steps", "0", "--resume", "auto")
    assert compare(tmp_path, undisturbed) is None


@pytest.mark.slow
@pytest.mark.parametrize("stop", [terminate, interrupt])
def test_a_stop_during_validation_loses_no_step(
    command, tmp_path, monkeypatch, undisturbed, sigterm, stop
):
    options = [*RUN, "--resume", "auto", "--output_dir", tmp_path]
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "run_evaluation", lambda *others: stop())
        with pytest.raises((SystemExit, KeyboardInterrupt)):
            command(*options)
    saved = torch.load(tmp_path / LAST, weights_only=True)
    assert (saved["epoch"], saved["progress"]["step"]) == (0, 5)
    command(*options)
    assert compare(tmp_path, undisturbed) is None


def test_auto_passes_over_a_damaged_checkpoint(command, checkpoint, tmp_path, capsys, caplog):
    (tmp_path / "checkpoint_0001.pth").write_bytes(checkpoint.read_bytes())
    (tmp_path / LAST).write_bytes(checkpoint.read_bytes()[:-1000])
    command(*TRAINING, "--epochs", "1", "--resume", "auto", "--output_dir", tmp_path)
    said = capsys.readouterr()
    assert f"{tmp_path / 'checkpoint_0001.pth'} has completed all 1 epochs" in said.out
    assert f"passed over: {tmp_path / LAST}: truncated" in caplog.text
    (tmp_path / "checkpoint_0001.pth").unlink()
    with pytest.raises(ValueError, match="none of its checkpoints holds a whole training state"):
        command(*TRAINING, "--epochs", "1", "--resume", "auto", "--output_dir", tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--overwrite", "true", "--output_dir", "x"], "choose one"),
        ([], "name it with --output_dir"),
    ],
)
def test_auto_needs_a_folder_that_is_kept(options, message):
    with pytest.raises(ValueError, match=message):
        parse_command_line(["--resume", "auto", *options])


def test_only_the_last_of_the_kept_checkpoints_stay(command, tmp_path):
    (tmp_path / "notes.pth").write_bytes(b"mine")
    options = [*TRAINING, "--vgg16_weights", "none", "--iter_per_epoch", "1", "--epochs", "4"]
    options += ["--save_interval", "1", "--keep_last", "2"]
    command(*options, "--output_dir", tmp_path)
    assert {path.name for path in tmp_path.glob("*.pth")} == {
        *("checkpoint_0003.pth", "checkpoint_0004.pth", LAST, "notes.pth"),
    }


@pytest.mark.parametrize("failure", ["update", "data"])
def test_overwrite_keeps_the_old_run_until_the_first_step_has_succeeded(
    command, tmp_path, monkeypatch, failure
):
    old = {LAST: b"old", "checkpoint_0001.pth": b"old", "log.txt": b'{"epoch": 0}\n'}
    old["config.yaml"] = b"old: true\n"
    for name, content in old.items():
        (tmp_path / name).write_bytes(content)
    rates = ["--lr", "1e38", "--warmup_epochs", "0"] if failure == "update" else []
    if failure == "data":

        def broken() -> None:
            raise ValueError("image 7 is damaged")

        at_step(monkeypatch, 1, broken)
    with pytest.raises(ValueError, match="left weights" if failure == "update" else "damaged"):
        command(*TRAINING, *rates, "--overwrite", "true", "--output_dir", tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == old


def test_what_killed_runs_left_behind_is_removed(command, tmp_path):
    stray = [".checkpoint_last.pth.123.tmp", ".log.txt.7.tmp", "validation/x/.1.png.9.tmp"]
    foreign = [".notes.tmp", ".photo.123.tmp", "x.pth.123.tmp"]
    (tmp_path / "validation/x").mkdir(parents=True)
    for name in stray + foreign:
        (tmp_path / name).write_bytes(b"half")
    command(*TRAINING, "--vgg16_weights", "none", "--epochs", "1", "--output_dir", tmp_path)
    assert not any((tmp_path / name).exists() for name in stray)
    assert all((tmp_path / name).exists() for name in foreign)


@pytest.fixture
def restarted(monkeypatch):
    """As torchrun starts a process for the third time."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": "other.pth"}])
def test_a_restart_goes_on_from_what_its_launch_has_saved(checkpoint, tmp_path, restarted, options):
    (tmp_path / LAST).write_bytes(checkpoint.read_bytes())
    given = {"output_dir": str(tmp_path), **options}
    found, state = find_checkpoint(given)
    assert found == {**given, "resume": str(tmp_path / LAST), "overwrite": False}
    assert state is not None
    assert state.training["epoch"] == 0


def test_a_restart_before_the_first_save_repeats_the_command(checkpoint, tmp_path, restarted):
    (tmp_path / LAST).write_bytes(checkpoint.read_bytes())  # of an earlier run
    (tmp_path / LAUNCHED).touch()
    given = {"output_dir": str(tmp_path), "overwrite": True}
    assert find_checkpoint(given) == ({**given, "resume": ""}, None)


def test_a_launch_is_noted_until_it_has_saved(command, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    noted = []
    at_step(monkeypatch, 3, lambda: noted.append((tmp_path / LAUNCHED).exists()))
    options = [*TRAINING, "--vgg16_weights", "none", "--iter_per_epoch", "4", "--epochs", "1"]
    command(*options, "--output_dir", tmp_path)
    assert noted == [True]
    assert not (tmp_path / LAUNCHED).exists()


PROGRESS = {"step": 1, "not_finite": 0, "averages": {}, "recent": {}}


@pytest.mark.parametrize(
    "change",
    [
        {"step": -1},
        {"step": "1"},
        {"not_finite": 1.5},
        {"averages": {"total": (1.0, 0)}},
        {"averages": {"total": 1.0}},
        {"recent": [1]},
        {"averages": {"total": ("1", 1)}},
    ],
)
def test_foreign_progress_is_one_line(command, checkpoint, tmp_path, change):
    content = torch.load(checkpoint, weights_only=True)
    torch.save({**content, "epoch": -1, "progress": PROGRESS | change}, tmp_path / LAST)
    with pytest.raises(ValueError, match=r"checkpoint_last.pth: training state: ") as error:
        command(*TRAINING, "--epochs", "1", "--resume", tmp_path / LAST, "--output_dir", tmp_path)
    assert "\n" not in str(error.value)


def test_evaluation_reads_a_state_within_an_epoch(command, checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    torch.save({**content, "epoch": -1, "progress": PROGRESS}, tmp_path / LAST)
    options = [*COMMON, "--eval", "true", "--resume", "auto", "--eval_data_cfg_path", EVAL[2]]
    command(*options, "--output_dir", tmp_path)
    assert (tmp_path / "metrics.json").exists()
