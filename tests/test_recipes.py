"""The recipes of docs/training.md, as a new user runs them, with fewer steps and small images."""

import contextlib
import os
import re
import runpy
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_run import DATA, ROOT, SMALL, official_checkpoint
from torch.distributed.run import get_args_parser

import trainer
from models.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs/training.md").read_text(encoding="utf-8")
DATA_PAGE = (ROOT / "docs/data.md").read_text(encoding="utf-8")
SHORT = ["--device", "cpu", "--num_workers", "0"]
SHORTER = [*SHORT, "--pix2pix_size", "64", "--batch_size", "1", "--print_freq", "1"]
STEPS = ["--epochs", "1", "--iter_per_epoch", "1"]
IMAGENET = ["--pretrained_encoder", "timm:swinv2_small_window16_256.ms_in1k"]  # needs a network
VGG16 = ["--vgg16_weights", "random"]  # so does VGG16


def recipe(title: str, language: str = "sh") -> str:
    """All blocks of a recipe, joined."""
    section = PAGE.split(f"\n### {title}\n")[1].split("\n### ")[0].split("\n## ")[0]
    blocks = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert blocks, title
    return "\n".join(blocks)


def commands(title: str) -> list[list[str]]:
    """The words of each command of a recipe."""
    return [shlex.split(line) for line in recipe(title).replace("\\\n", " ").splitlines() if line]


@pytest.fixture
def clone(tmp_path, monkeypatch) -> Path:
    """The current folder, with the program, the data of the paper, synthetic and own data."""
    for path in ROOT.iterdir():
        if path.name not in ("data", "data_configs", "output", ".venv", ".git"):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "data").mkdir()
    for path in DATA.iterdir():
        (tmp_path / "data" / path.name).symlink_to(path)
    (tmp_path / "data/synthetic").symlink_to(DATA)  # the same layouts
    for split in ("train", "eval"):
        (tmp_path / "data_configs" / split).mkdir(parents=True)
        for path in (ROOT / "data_configs" / split).iterdir():
            (tmp_path / "data_configs" / split / path.name).symlink_to(path)
    write_own_data(tmp_path)
    write_image(tmp_path / "photo.jpg", seed=9)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_own_data(folder: Path) -> None:
    """Own data as docs/data.md describes them."""
    (config,) = re.findall(
        r"```yaml\n# data_configs/train/mine.yaml\n(.*?)```", DATA_PAGE, re.DOTALL
    )
    (folder / "data_configs/train/mine.yaml").write_text(config)
    config = re.sub(r"  - random_.*\n", "", config.replace("split: train ", "split: test "))
    (folder / "data_configs/eval/mine.yaml").write_text(config)
    for seed, (split, name) in enumerate([("train", "a"), ("train", "b"), ("test", "c")]):
        write_image(folder / f"data/mine/{split}/image/{name}.jpg", seed)
        label = np.zeros((48, 64), np.uint8)
        label[10:20, 10:50] = 255
        path = folder / f"data/mine/{split}/label/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(label).save(path)


def write_image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def run(words: list[str], monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    """A command in this process; `torchrun` in one process, its own options checked."""
    if words[0] == "torchrun":
        words = ["python", *torchrun_arguments(words)[1:]]
    assert words[0] == "python"
    is_module = words[1] == "-m"
    arguments = [*words[3 if is_module else 2 :], *more]
    monkeypatch.setattr(sys, "argv", [words[1], *arguments])
    call = runpy.run_module if is_module else runpy.run_path
    with pytest.raises(SystemExit) as end:
        call(words[2 if is_module else 1], run_name="__main__")
    assert not end.value.code, words


def torchrun_arguments(words: list[str]) -> list[str]:
    """`torchrun`, the program and its options, after torchrun's parser has accepted its own."""
    options = get_args_parser().parse_args(words[1:])
    assert options.training_script == "main.py"
    return ["torchrun", options.training_script, *options.training_script_args]


def follow(title: str, monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    """Every command of a recipe, shortened; synthetic images are there already."""
    for words in commands(title):
        if "main.py" in words:
            extra = SHORT if "--eval" in words else [*SHORTER, *STEPS, *more]
            run(words, monkeypatch, *extra)
        elif words[2] != "synthesis.synthesize":
            run(words, monkeypatch)


@pytest.mark.parametrize("title", ["The setting of the paper", "Several hosts"])
def test_recipes_for_gpus_on_a_small_network(clone, monkeypatch, title):
    (words,) = commands(title)
    options = torchrun_arguments(words)[2:]
    position = options.index(IMAGENET[0])
    assert options[position : position + 2] == IMAGENET
    del options[position : position + 2]
    small = [*SMALL, "--scratch_init", "true", *VGG16]
    run(["python", "main.py", *options], monkeypatch, *SHORTER, *STEPS, *small)
    checkpoint = load_checkpoint(clone / "output/upocr/checkpoint_last.pth")
    assert checkpoint.tasks == ("text_removal", "tampered_text_detection", "text_segmentation")


def test_the_batches_are_what_the_page_says():
    for title in ("The setting of the paper", "Several hosts"):
        (words,) = commands(title)
        parsed = get_args_parser().parse_args(words[1:])
        processes = int(parsed.nnodes.split(":")[-1]) * int(parsed.nproc_per_node)
        options = parsed.training_script_args
        batch = int(options[options.index("--batch_size") + 1])
        assert f"{batch} x 3 x {processes} = {batch * 3 * processes}" in PAGE


def test_fine_tuning(clone, monkeypatch, capsys, state_dict_keys):
    official_checkpoint(clone / "upocr.pth", state_dict_keys["tiny"])
    follow("Fine-tuning", monkeypatch)
    own = load_checkpoint(clone / "output/mine/checkpoint_last.pth")
    assert own.tasks == ("text_segmentation",)
    before = load_checkpoint(ROOT / "pretrained/upocr_nano.safetensors")
    name = "task_prompt.task_embedding.weight"
    row = before.model[name][before.tasks.index("text_segmentation")].float()
    torch.testing.assert_close(own.model[name][0], row, rtol=0, atol=1e-3)
    assert len(list((clone / "out/mine").glob("photo.*"))) >= 2
    both = load_checkpoint(clone / "output/mine_and_others/checkpoint_last.pth")
    assert sorted(both.tasks) == sorted(before.tasks)
    official = load_checkpoint(clone / "output/mine_official/checkpoint_last.pth")
    assert official.architecture["embed_dim"] == 24
    log = capsys.readouterr().out
    assert log.index(" mine   ") < log.index("epoch 1 [1/1]")  # the starting weights first
    assert "is above --lr" not in log  # the bounds of the schedule fit the small rate


def test_a_single_task_needs_no_vgg16_and_knows_no_other_task(clone, monkeypatch, capsys):
    def refuse(source: str) -> None:
        raise AssertionError(f"VGG16 of {source} is loaded")

    monkeypatch.setattr(trainer, "build_vgg16", refuse)
    follow("A single task", monkeypatch)
    log = capsys.readouterr().out
    assert "text_segmentation" in log
    for word in ("VGG", "removal", "tampered", "task_gap"):
        assert word not in log
    run(
        shlex.split("python predict.py photo.jpg --task all --output_dir out --weights"),
        monkeypatch,
        "output/single/checkpoint_last.pth",
    )
    assert not list(clone.glob("out/*removed*"))
    assert (clone / "output/single/eval/metrics.json").exists()


def test_from_scratch_on_a_cpu(clone, monkeypatch, capsys):
    follow("From scratch on a CPU", monkeypatch)
    log = capsys.readouterr().out
    assert "4 images per step" in log  # detection takes two of the places
    assert log.count("no VGG16: text removal trains without perceptual and style loss") == 1
    assert "text removal: 3 images" in log  # eval/text_removal/evaluation.py
    assert load_checkpoint(clone / "output/nano/checkpoint_last.pth").training["epoch"] == 0


def test_a_loop_of_your_own(clone, monkeypatch, capsys):
    source = recipe("A loop of your own", "python")
    exec(compile(source, "training.md", "exec"), {})
    steps = [line.split()[0] for line in capsys.readouterr().out.splitlines()[:2]]
    assert steps == ["5", "10"]
    trained = load_checkpoint(clone / "mine.pth")
    before = load_checkpoint(ROOT / "pretrained/upocr_nano.safetensors")
    old, new = (file.model["proj.weight"].float() for file in (before, trained))
    assert not torch.equal(old, new)
    torch.testing.assert_close(old, new, rtol=0, atol=0.01)


# --- Slurm, with programs that stand for it


def write_program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def slurm(clone) -> dict[str, str]:
    """The environment of a batch job on this machine alone."""
    programs = {
        "srun": 'echo $$ > srun.pid; exec "$@"',
        "scancel": '[ "$*" = "--signal=TERM 7" ] && kill -TERM "$(cat srun.pid)"',
        "scontrol": 'if [ "$1" = show ]; then echo localhost; else echo "$*" >> asked; fi',
        "python": f'exec {sys.executable} "$@"',
    }
    for name, script in programs.items():
        write_program(clone / "bin" / name, script)
    write_program(clone / ".venv/bin/activate", 'export PATH="$PWD/bin:$PATH"')
    facts = {"NNODES": "1", "GPUS_PER_NODE": "1", "JOB_ID": "7", "JOB_NODELIST": "localhost"}
    variables = {f"SLURM_{name}": value for name, value in facts.items()}
    return {**os.environ, **variables, "OMP_NUM_THREADS": "1"}


def batch_script(*options: str) -> str:
    """The printed one with a small network, a free port and more options."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = recipe("Slurm", "bash").replace(":29400", f":{port}")
    small = [*SMALL, "--scratch_init", "true", *VGG16, *SHORTER, *options]
    assert " ".join(IMAGENET) in script
    script = script.replace(" ".join(IMAGENET), "")
    return script.replace(" &\n", f" {shlex.join(small)} &\n")


def start(script: str, environment: dict[str, str], log: Path) -> subprocess.Popen:
    with log.open("a") as output:
        return subprocess.Popen(
            ["bash", "-c", script],
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def test_a_batch_job_that_runs_out_of_time_is_queued_again_and_goes_on(clone, slurm):
    log = clone / "job.log"
    long = batch_script("--epochs", "1", "--iter_per_epoch", "100000")
    job = start(long, slurm, log)
    try:
        while "epoch 1 [2/" not in log.read_text():
            assert job.poll() is None, log.read_text()
            time.sleep(0.2)
        job.send_signal(signal.SIGTERM)  # as --signal=B:TERM does
        assert job.wait() == 75
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
    assert (clone / "asked").read_text() == "requeue 7\n"
    assert "SIGTERM: saved epoch 1 up to step" in log.read_text()
    step = load_checkpoint(clone / "output/upocr/checkpoint_last.pth").training["progress"]["step"]
    steps = ["--epochs", "1", "--iter_per_epoch", str(step + 1)]
    assert start(batch_script(*steps), slurm, log).wait() == 0
    again = log.read_text().split("the resumed run had")[1]
    assert re.findall(r"epoch 1 \[(\d+)/", again) == [str(step + 1)]
    assert (clone / "asked").read_text() == "requeue 7\n"


@pytest.mark.parametrize("code", [0, 2, 75])
def test_only_an_interrupted_batch_job_is_queued_again(clone, slurm, code):
    write_program(clone / "bin/srun", f"exit {code}")
    assert start(batch_script(), slurm, clone / "job.log").wait() == code
    assert (clone / "asked").exists() == (code == 75)
