"""Bad input of main.py: exit code 2, one line that names the file, nothing else."""

import multiprocessing
import os
import shutil
import socket
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from small_run import COMMON, DATA, EVAL, ROOT, TRAIN, TRAINING, torchrun

import main
from utils.cli import run


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
        return ["--output_dir", tmp_path / "out", "--data_root", DATA, *values]

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
    "huge images": (options(*TRAINING, "--pix2pix_size", str(2**25)), "expected at most 8192"),
    "unknown device": (options(*TRAINING, "--device", "tpu"), "unknown device 'tpu'"),
    "float16 on a CPU": (
        options(*TRAINING, "--amp", "true", "--amp_dtype", "float16"), "amp_dtype float16",
    ),
    "negative workers": (options(*TRAINING, "--num_workers", "-1"), "--num_workers is -1"),
    "learning rate": (options(*TRAINING, "--lr", "nan"), "--lr is nan, expected 0 or more"),
    "threshold": (options(*TRAINING, "--textseg_conf_thres", "2"), "expected 0 to 1"),
    "odd size": (options(*TRAINING, "--pix2pix_size", "100"), "multiple of 32"),
    "VGG16 file": (options(*TRAINING, "--vgg16_weights", "no.pth"), "no.pth"),
    "huge seed": (options(*TRAINING, "--seed", str(2**40)), "--seed is 1099511627776"),
    "output is a file": (
        options(*TRAINING, "--output_dir", DATA / "TextSegmentation/TextSeg/split.json"),
        "split.json is a file",
    ),
    "one name twice": (
        options(*EVALUATE, EVAL[2], "--resume", "{checkpoint}"),
        "textseg.yaml: another data set is named 'TextSeg' too",
    ),
    "repeated YAML key": (
        written("x.yaml", (ROOT / TRAIN[2]).read_bytes() + b"split: test\n", *COMMON,
                "--data_cfg_paths", "{tmp}/x.yaml"), "x.yaml",
    ),
    "name that leaves the folder": (
        written("x.yaml", (ROOT / EVAL[2]).read_bytes().replace(b"name: TextSeg", b"name: .."),
                *COMMON, "--eval", "true", "--resume", "{checkpoint}", "--eval_data_cfg_path",
                "{tmp}/x.yaml"), "x.yaml",
    ),
    "one image twice": (
        spoil(lambda r: (r / SEGMENTATION / "split.json").write_text(
            '{"train": ["a0001", "a0001"], "val": [], "test": []}')), "split.json",
    ),
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
    lines = captured.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert expected in lines[0]
    assert "Traceback" not in captured.out + captured.err
    assert not list(tmp_path.glob("out/*.pth"))


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB."), MemoryError()],
)
def test_too_little_memory_names_the_options_that_need_less(tmp_path, monkeypatch, capsys, error):
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("trainer.train_one_epoch", fail)
    arguments = options(*TRAINING)(DATA, None, tmp_path)
    monkeypatch.setattr(sys, "argv", ["main.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        run(main.main)
    lines = capsys.readouterr().err.splitlines()
    reason = str(error) or "MemoryError"
    assert (stop.value.code, len(lines)) == (2, 1)
    assert lines[0].startswith(f"error: out of memory ({reason}): a smaller --batch_size")


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


def rank_process(rank: int, port: int, arguments: list[str], stderr: Path) -> None:
    """What torchrun starts: main.py as one of two processes."""
    os.chdir(ROOT)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    sys.argv = ["main.py", *arguments]
    with stderr.open("w") as sys.stderr:
        run(main.main)


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    """Run main.py in two processes: `two_ranks(arguments)` gives (exit code, stderr) of each."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # imports PyTorch once, not twice a case
    folder = tmp_path_factory.mktemp("stderr")

    def call(arguments: list[object]) -> list[tuple[int, str]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        files = [folder / f"{port}-{rank}.txt" for rank in range(2)]
        processes = [
            context.Process(target=rank_process, args=(rank, port, [*map(str, arguments)], file))
            for rank, file in enumerate(files)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(timeout=120)
            process.kill()
        return [
            (process.exitcode, file.read_text())
            for process, file in zip(processes, files, strict=True)
        ]

    return call


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_ends_every_rank_with_one_line(name, checkpoint, tmp_path, two_ranks):
    case, expected = BAD_INPUT[name]
    found = two_ranks(case(tmp_path / "data", checkpoint, tmp_path))
    for code, stderr in found:
        assert code == 2, stderr
        assert len(stderr.splitlines()) == 1, stderr
        # A rank whose share of the data is sound hears of the other's end.
        assert expected in stderr or "error: lost another process" in stderr
    assert any(expected in stderr for _, stderr in found)


@pytest.mark.slow
def test_bad_input_under_torchrun(checkpoint, tmp_path):
    result = torchrun(2, *BAD_INPUT["missing folder"][0](tmp_path / "data", checkpoint, tmp_path))
    assert result.returncode != 0
    assert "error: " in result.stderr
    assert 'main.py", line' not in result.stderr  # no traceback of ours; torchrun prints its own
    assert "exitcode  : 2" in result.stderr
    assert "exitcode  : 1" not in result.stderr
