"""The command line from end to end, on the small data set and a very small network."""

import argparse
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from vectors import TESTS, reference_parameter

import main
from models import TASKS
from utils.cli import run

ROOT = TESTS.parent
DATA = TESTS / "data"
TRAIN = [f"data_configs/train/{name}.yaml" for name in ("scut-enstext", "tampered-ic13", "textseg")]
EVAL = [path.replace("train", "eval") for path in TRAIN]
NAMES = ["SCUT-EnsText", "Tampered-IC13", "TextSeg"]
SMALL = [
    *("--swin_enc_embed_dim", "8", "--swin_enc_depths", "1", "1", "1", "1"),
    *("--swin_enc_num_heads", "1", "1", "2", "2", "--swin_dec_num_heads", "2", "2", "1", "1", "1"),
    *("--swin_dec_depths", "1", "1", "1", "1", "1", "--swin_enc_window_size", "4"),
]
COMMON = ["--device", "cpu", "--num_workers", "0"]
TRAINING = [
    *(
        *COMMON,
        *SMALL,
        "--pix2pix_size",
        "64",
        "--data_cfg_paths",
        *TRAIN,
        "--vgg16_weights",
        "random",
    ),
    *("--batch_size", "1", "--iter_per_epoch", "2", "--print_freq", "1", "--scratch_init", "true"),
]


@pytest.fixture
def command(monkeypatch):
    """Run main.py in this process: `command(*arguments)`."""
    monkeypatch.chdir(ROOT)

    def call(*arguments: object, data_root: Path = DATA) -> None:
        argv = ["main.py", "--data_root", str(data_root), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", argv)
        main.main()

    return call


def torchrun(processes: int, *arguments: object) -> subprocess.CompletedProcess:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command = [sys.executable, *launcher, "main.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


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


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """Written by training, used by the tests of evaluation."""
    folder = tmp_path_factory.mktemp("run")
    patch = pytest.MonkeyPatch()
    patch.chdir(ROOT)
    argv = ["main.py", "--data_root", str(DATA), *TRAINING, "--epochs", "1"]
    patch.setattr(sys, "argv", [*argv, "--output_dir", str(folder)])
    main.main()
    patch.undo()
    return folder / "checkpoint_last.pth"


def test_stopped_and_resumed_training_is_bit_identical(command, tmp_path, monkeypatch):
    options = [*TRAINING, "--epochs", "4", "--num_workers", "2", "--swin_enc_drop_path_rate", "0.5"]
    command(*options, "--output_dir", tmp_path / "whole")

    train_one_epoch = main.train_one_epoch

    def stop_before_third(*args, epoch, **kwargs):
        if epoch == 2:
            raise KeyboardInterrupt
        return train_one_epoch(*args, epoch=epoch, **kwargs)

    monkeypatch.setattr(main, "train_one_epoch", stop_before_third)
    with pytest.raises(KeyboardInterrupt):
        command(*options, "--output_dir", tmp_path / "parts")
    monkeypatch.setattr(main, "train_one_epoch", train_one_epoch)
    torch.rand(7)  # whatever happens between the two
    last = tmp_path / "parts" / "checkpoint_last.pth"
    command(*options, "--output_dir", tmp_path / "parts", "--resume", last)

    whole, parts = (
        torch.load(tmp_path / run / "checkpoint_last.pth", weights_only=True)
        for run in ("whole", "parts")
    )
    assert whole["epoch"] == 3
    assert_same(whole, parts)
    logs = [(tmp_path / run / "log.txt").read_text() for run in ("whole", "parts")]
    assert logs[0] == logs[1]


def test_seed_decides_everything(command, tmp_path):
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        options = ["--epochs", "1", "--seed", seed, "--output_dir", tmp_path / folder]
        command(*TRAINING, *options)
    a, b, c = (
        torch.load(tmp_path / f / "checkpoint_last.pth", weights_only=True)["model"] for f in "abc"
    )
    assert_same(a, b)
    assert not torch.equal(a["proj.weight"], c["proj.weight"])


def test_trained_checkpoint_is_evaluated_without_further_options(command, checkpoint, tmp_path):
    common = [*COMMON, "--eval", "true", "--resume", checkpoint]
    command(*common, "--eval_data_cfg_path", *EVAL, "--visualize", "true", "--output_dir", tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert list(metrics) == NAMES
    for record, task in zip(metrics.values(), TASKS, strict=True):
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


def official_checkpoint(path: Path, keys: dict[str, list], **extra: object) -> None:
    """A file as the authors' training writes it, for the reference's tiny architecture."""
    state = {}
    for name, (shape, dtype) in keys.items():
        if dtype == "int64":
            state[name] = torch.zeros(shape, dtype=torch.int64)
        else:
            state[name] = reference_parameter(name, tuple(shape))
    for name in state:  # the derived table tells the windows, so it must be a true one
        if name.endswith("relative_coords_table"):
            side = (len(state[name][0]) + 1) // 2
            span = torch.arange(-(side - 1), side) / (side - 1) * 8
            grid = torch.stack(torch.meshgrid(span, span, indexing="ij"), -1)[None]
            state[name] = grid.sign() * torch.log2(grid.abs() + 1) / 3
    options = argparse.Namespace(swin_enc_drop_path_rate=0.1, swin_dec_window_size=8, lr=5e-4)
    torch.save({"model": state, "args": options, "epoch": 7, **extra}, path)


def test_official_checkpoint_is_evaluated(command, state_dict_keys, tmp_path):
    official_checkpoint(tmp_path / "official.pth", state_dict_keys["tiny"])
    command(
        *(*COMMON, "--eval", "true", "--resume", tmp_path / "official.pth", "--pix2pix_size", "64"),
        *("--eval_data_cfg_path", EVAL[2], "--output_dir", tmp_path / "out"),
    )
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert 0 <= metrics["TextSeg"]["fg_iou"] <= 1


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
    return root


def test_metrics_do_not_depend_on_the_number_of_processes(checkpoint, five_images, tmp_path):
    found = []
    for processes in (1, 2, 3):
        folder = tmp_path / f"out{processes}"
        result = torchrun(
            *(processes, "--data_root", five_images, *COMMON, "--eval", "true"),
            *("--resume", checkpoint, "--eval_data_cfg_path", *EVAL[:2], "--output_dir", folder),
        )
        assert result.returncode == 0, result.stderr
        found.append(json.loads((folder / "metrics.json").read_text()))
    assert found[0]["SCUT-EnsText"]["num_images"] == 5
    assert found[0]["Tampered-IC13"]["num_images"] == 5
    assert found[0] == found[1] == found[2]


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


def test_validation_keeps_the_best_checkpoint_of_each_task(command, tmp_path):
    command(
        *(*TRAINING, "--epochs", "2", "--val_data_cfg_paths", *EVAL, "--eval_interval", "1"),
        *("--output_dir", tmp_path),
    )
    lines = [json.loads(line) for line in (tmp_path / "log.txt").read_text().splitlines()]
    assert [sorted(line["val"]) for line in lines] == [sorted(NAMES)] * 2
    for task in TASKS:
        best = torch.load(tmp_path / f"checkpoint_best_{task}.pth", weights_only=True)
        last = torch.load(tmp_path / "checkpoint_last.pth", weights_only=True)
        assert best["best"][task] == last["best"][task]


def test_configuration_is_saved_as_resolved(checkpoint):
    text = (checkpoint.parent / "config.yaml").read_text()
    assert "embed_dim: 8" in text
    assert "device: cpu" in text


def test_defaults_are_those_of_the_official_command_line(tmp_path):
    official = json.loads((TESTS / "reference" / "cli_defaults.json").read_text())
    ours = vars(main.parse_args(["--data_cfg_paths", "x", "--output_dir", str(tmp_path)]))
    gone = {
        *("encoder", "decoder", "intermediate_output"),  # one choice each
        *("world_size", "dist_url", "local_rank", "init_method"),  # torchrun's own
    }
    assert gone == set(official) - set(ours)
    # Taken from the variant, several data sets at once, or automatic.
    other = {"data_cfg_paths", "output_dir", "eval_data_cfg_path", "device"}
    for name in set(official) - gone - other:
        resolved = ours[name]
        if name == "pix2pix_size":
            resolved = main.IMAGE_SIZE
        if name in main.ARCHITECTURE:
            resolved = main.VARIANTS["upocr"][main.ARCHITECTURE[name]]
        assert resolved == official[name], name


@pytest.mark.parametrize(("text", "value"), [("true", True), ("No", False), ("1", True)])
def test_booleans(tmp_path, text, value):
    arguments = ["--data_cfg_paths", "x", "--output_dir", str(tmp_path), "--amp", text]
    assert main.parse_args(arguments).amp is value


# --- bad input: exit code 2, one line that names the file, nothing else ---


def spoil(change):
    """A case on a copy of the small data set that `change` damages."""

    def case(root: Path, checkpoint: Path, tmp_path: Path) -> list[object]:
        shutil.copytree(DATA, root)
        change(root)
        training = [*TRAINING, "--epochs", "1"]
        return [*training, "--output_dir", tmp_path / "out", "--data_root", root]

    return case


def spoil_evaluation(change):
    def case(root: Path, checkpoint: Path, tmp_path: Path) -> list[object]:
        shutil.copytree(DATA, root)
        change(root)
        return [
            *(*COMMON, "--eval", "true", "--resume", checkpoint, "--eval_data_cfg_path", *EVAL),
            *("--output_dir", tmp_path / "out", "--data_root", root),
        ]

    return case


def options(*extra: object):
    """A case with a sound data set and other options."""

    def case(root: Path, checkpoint: Path, tmp_path: Path) -> list[object]:
        values = [str(v).format(tmp=tmp_path, checkpoint=checkpoint) for v in extra]
        return [*values, "--output_dir", tmp_path / "out", "--data_root", DATA]

    return case


def written(name: str, content: bytes | dict | None, *extra: object):
    """A case with a file `name` in the temporary folder."""

    def case(root: Path, checkpoint: Path, tmp_path: Path) -> list[object]:
        if isinstance(content, dict):
            torch.save(content, tmp_path / name)
        elif content is None:
            (tmp_path / name).write_bytes(checkpoint.read_bytes()[:-1000])
        else:
            (tmp_path / name).write_bytes(content)
        return options(*extra)(root, checkpoint, tmp_path)

    return case


REMOVAL = "TextRemoval/SCUT-EnsText"
DETECTION = "TamperedTextDetection/Tampered-IC13"
SEGMENTATION = "TextSegmentation/TextSeg"
EVALUATE = [*COMMON, "--eval", "true", "--eval_data_cfg_path", EVAL[2]]


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:400])


def resize(path: Path) -> None:
    Image.open(path).resize((32, 32)).save(path)


def empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


BAD_INPUT = {
    "missing folder": (spoil(lambda r: shutil.rmtree(r / REMOVAL)), "SCUT-EnsText"),
    "missing label": (spoil(lambda r: (r / REMOVAL / "train/label/2.jpg").unlink()), "2.jpg"),
    "missing mask": (spoil(lambda r: (r / REMOVAL / "train/mask/1.jpg").unlink()), "1.jpg"),
    "missing annotation": (
        spoil(lambda r: (r / DETECTION / "train_gt/100.txt").unlink()), "train_gt",
    ),
    "missing split": (spoil(lambda r: (r / SEGMENTATION / "split.json").unlink()), "split.json"),
    "empty folder": (spoil(lambda r: empty(r / DETECTION / "train_img")), "train_img"),
    "unreadable image": (spoil(lambda r: damage(r / REMOVAL / "train/image/1.jpg")), "image/1.jpg"),
    "unreadable in evaluation": (
        spoil_evaluation(lambda r: damage(r / DETECTION / "test_img/101.jpg")), "101.jpg",
    ),
    "label of another size": (
        spoil(lambda r: resize(r / SEGMENTATION / "semantic_label/a0001_maskfg.png")), "a0001",
    ),
    "four integers": (
        spoil(lambda r: (r / DETECTION / "train_gt/100.txt").write_text("1,2,3,4\n")), "100.txt",
    ),
    "no integers": (
        spoil(lambda r: (r / DETECTION / "train_gt/100.txt").write_text("a,b,c,d,e\n")), "100.txt",
    ),
    "batch too large": (options(*TRAINING, "--batch_size", "3"), "batch size is 3"),
    "unknown YAML key": (
        written("x.yaml", (ROOT / TRAIN[2]).read_bytes() + b"extra: 1\n", *COMMON,
                "--data_cfg_paths", "{tmp}/x.yaml"), "x.yaml: unknown key 'extra'",
    ),
    "unknown transform": (
        written("x.yaml", (ROOT / TRAIN[2]).read_bytes().replace(b"- color_jitter", b"- blur"),
                *COMMON, "--data_cfg_paths", "{tmp}/x.yaml"), "unknown transform 'blur'",
    ),
    "missing configuration": (options(*COMMON, "--data_cfg_paths", "no.yaml"), "no.yaml"),
    "other architecture": (
        options(*EVALUATE, "--resume", "{checkpoint}", "--variant", "upocr"), "checkpoint_last.pth",
    ),
    "truncated checkpoint": (
        written("cut.pth", None, *EVALUATE, "--resume", "{tmp}/cut.pth"), "cut.pth",
    ),
    "not a checkpoint": (
        written("text.pth", b"hello", *EVALUATE, "--resume", "{tmp}/text.pth"), "text.pth",
    ),
    "other weights": (
        written("other.pth", {"model": {"a": torch.ones(1)}}, *EVALUATE, "--resume",
                "{tmp}/other.pth"), "other.pth: holds no UPOCR weights",
    ),
    "no checkpoint": (options(*EVALUATE, "--resume", "no.pth"), "no.pth: no such checkpoint"),
    "eval without resume": (options(*EVALUATE), "--resume"),
    "eval without data": (options("--eval", "true", "--resume", "x"), "--eval_data_cfg_path"),
    "training without data": (options(*COMMON), "--data_cfg_paths"),
    "unknown device": (options(*TRAINING, "--device", "tpu"), "unknown device 'tpu'"),
    "float16 on a CPU": (
        options(*TRAINING, "--amp", "true", "--amp_dtype", "float16"), "amp_dtype float16",
    ),
    "negative workers": (options(*TRAINING, "--num_workers", "-1"), "--num_workers is -1"),
    "learning rate": (options(*TRAINING, "--lr", "nan"), "--lr is nan, expected 0 or more"),
    "threshold": (options(*TRAINING, "--textseg_conf_thres", "2"), "expected 0 to 1"),
    "odd size": (options(*TRAINING, "--pix2pix_size", "100"), "multiple of 32"),
    "VGG16 file": (options(*TRAINING, "--vgg16_weights", "no.pth"), "no.pth"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_one_line_and_exit_code_2(name, checkpoint, tmp_path, monkeypatch, capsys):
    case, expected = BAD_INPUT[name]
    arguments = case(tmp_path / "data", checkpoint, tmp_path)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["main.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        run(main.main)
    captured = capsys.readouterr()
    assert stop.value.code == 2, captured.err
    lines = [line for line in captured.err.splitlines() if "\r" not in line]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert expected in lines[0]
    assert "Traceback" not in captured.out + captured.err
    assert not list(tmp_path.glob("out/*.pth"))


def test_argparse_errors_exit_with_2(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["main.py", "--amp", "maybe"])
    with pytest.raises(SystemExit) as stop:
        run(main.main)
    assert stop.value.code == 2
    assert "'maybe' is not one of true, yes, 1, false, no, 0" in capsys.readouterr().err


def test_bad_input_in_a_loader_worker(checkpoint, tmp_path, monkeypatch, capsys):
    arguments = BAD_INPUT["unreadable image"][0](tmp_path / "data", checkpoint, tmp_path)
    monkeypatch.chdir(ROOT)
    argv = ["main.py", *map(str, arguments), "--num_workers", "2", "--epochs", "9"]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(SystemExit) as stop:
        run(main.main)
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert "image/1.jpg" in error
    assert "worker" not in error


@pytest.mark.parametrize("name", ["missing folder", "unreadable image"])
def test_bad_input_under_torchrun(name, checkpoint, tmp_path):
    arguments = BAD_INPUT[name][0](tmp_path / "data", checkpoint, tmp_path)
    result = torchrun(2, *arguments)
    assert result.returncode != 0
    assert "error: " in result.stderr
    assert 'main.py", line' not in result.stderr  # no traceback of ours; torchrun prints its own
    assert "exitcode  : 2" in result.stderr
    assert "exitcode  : 1" not in result.stderr


def test_diverged_training_stops_and_names_the_last_good_checkpoint(command, tmp_path, monkeypatch):
    command(*TRAINING, "--epochs", "1", "--output_dir", tmp_path)
    last = tmp_path / "checkpoint_last.pth"
    before = last.read_bytes()
    rates = ["--lr", "1e30", "--warmup_epochs", "0", "--clip_max_norm", "0"]
    with pytest.raises(
        ValueError, match="loss is not finite at epoch 1, step 1: total nan"
    ) as error:
        command(*TRAINING, *rates, "--epochs", "3", "--output_dir", tmp_path, "--resume", last)
    assert "text_segmentation/smooth_l1" in str(error.value)
    assert str(error.value).endswith(f"last good checkpoint: {last}")
    assert last.read_bytes() == before


def test_a_run_is_not_overwritten_by_accident(command, tmp_path):
    (tmp_path / "checkpoint_last.pth").write_bytes(b"precious")
    options = [*TRAINING, "--epochs", "1", "--output_dir", tmp_path]
    with pytest.raises(ValueError, match="is there already: go on with --resume"):
        command(*options)
    assert (tmp_path / "checkpoint_last.pth").read_bytes() == b"precious"
    command(*options, "--overwrite", "true")
    assert math.isclose((tmp_path / "checkpoint_last.pth").stat().st_size, 5e6, rel_tol=1)


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
