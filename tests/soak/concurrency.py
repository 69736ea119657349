"""Several runs into one folder at the same time: one at a time writes, the others say who does."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from small_run import COMMON, DATA, EVAL, ROOT, TRAINING

from soak import Row
from synthesis.layouts import MANIFEST, sample_files
from upocr.lock import LOCK
from upocr.records import read_results

ROUNDS, RUNS = 10, 2  # at scale 1; runs per round
TIMEOUT = 600  # seconds
BUSY, TAKEN = " is in use by 'process ", " exists: continue with --resume "


@dataclass(frozen=True)
class Contest:
    """A command that several processes run into one folder.

    Args:
        command: arguments of Python for a folder of output.
        check: raises AssertionError unless the folder holds the result of one whole run.
        refusals: a part of the one line of each run that may not write.
    """

    command: Callable[[Path], list[str]]
    check: Callable[[Path], None]
    refusals: Sequence[str] = (BUSY,)


def contests(work: Path) -> dict[str, Contest]:
    """Every contest by name; `work` is for their inputs."""
    images = []
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 96, 3), np.uint8)
        images.append(str(work / f"{number}.png"))
        Image.fromarray(pixels).save(images[-1])
    checkpoint = work / "run" / "checkpoint_last.pth"
    training = ["main.py", "--data_root", str(DATA), *TRAINING, "--epochs", "1"]
    evaluation = ["main.py", "--data_root", str(DATA), *COMMON, "--eval", "true"]
    evaluation += ["--resume", str(checkpoint), "--eval_data_cfg_path", *EVAL]

    def evaluate(folder: Path) -> list[str]:
        if not checkpoint.exists():
            run([*training, "--output_dir", str(checkpoint.parent)], 1)
        return [*evaluation, "--output_dir", str(folder)]

    synthesis = ["-m", "synthesis.synthesize", "--num_train", "2", "--num_test", "0"]
    synthesis += ["--size", "128", "--workers", "0", "--overwrite", "true"]
    synthesis += ["--fonts", str(ROOT / "tests" / "synthesis")]  # none: Pillow has one
    predict = ["-m", "upocr", "remove", *images, "--num_threads", "1", "--output_dir"]
    return {
        "predictions": Contest(lambda folder: [*predict, str(folder)], check_prediction),
        "syntheses": Contest(
            lambda folder: [*synthesis, "--output_dir", str(folder)], check_synthesis
        ),
        "evaluations": Contest(evaluate, check_evaluation),
        "trainings": Contest(
            lambda folder: [*training, "--output_dir", str(folder)], check_training, (BUSY, TAKEN)
        ),
    }


def check_prediction(folder: Path) -> None:
    """All inputs are recorded, all files exist, and there are no others."""
    records = read_results(folder / "results.json")
    listed = {file for record in records for page in record["pages"] for file in page["files"]}
    assert len(records) == 3
    assert {path.name for path in folder.iterdir()} == {*listed, "results.json"}


def check_synthesis(folder: Path) -> None:
    """The manifest lists all files, and there are no others."""
    lines = (folder / MANIFEST).read_text().splitlines()
    listed = {file for line in lines for file in sample_files(json.loads(line)["name"])}
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {*listed, MANIFEST, "TextSegmentation/TextSeg/split.json"}


def check_evaluation(folder: Path) -> None:
    """All data sets are recorded."""
    assert len(json.loads((folder / "metrics.json").read_text())) == len(EVAL)


def check_training(folder: Path) -> None:
    """The checkpoint is whole, and the log has one line."""
    assert torch.load(folder / "checkpoint_last.pth", weights_only=True)["epoch"] == 0
    assert len((folder / "log.txt").read_text().splitlines()) == 1


def run(arguments: list[str], count: int) -> list[tuple[int, str]]:
    """Exit code and standard error of every one of `count` processes that start together."""
    processes = [
        subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    found = []
    for process in processes:
        try:
            _, error = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            error = f"still running after {TIMEOUT} s"
        found.append((process.returncode, error))
    return found


def hold(contest: Contest, folder: Path) -> str:
    """Run a contest once; what went wrong, or nothing."""
    ends = run(contest.command(folder), RUNS)
    if all(code for code, _ in ends):
        return f"nobody could write: {ends}"
    for code, error in ends:
        lines = [line for line in error.splitlines() if line.startswith("error: ")]
        refused = len(lines) == 1 and any(part in lines[0] for part in contest.refusals)
        if code not in (0, 2) or (code == 2 and not refused) or "Traceback" in error:
            return f"exit code {code}: {error}"
    try:
        contest.check(folder)
    except Exception as error:  # whatever is wrong with the files
        return f"{type(error).__name__}: {error}"
    left = [path for path in folder.rglob("*") if path.name == LOCK or path.suffix == ".tmp"]
    return f"left behind: {left}" if left else ""


def soak(scale: float, names: Sequence[str] = ()) -> list[Row]:
    """Hold the contests; failures are told on standard error."""
    rows, rounds = [], max(1, round(ROUNDS * scale))
    with tempfile.TemporaryDirectory() as work:
        for name, contest in contests(Path(work)).items():
            if names and name not in names:
                continue
            problems = [hold(contest, Path(work) / name / str(each)) for each in range(rounds)]
            for problem in filter(None, problems):
                print(f"concurrent {name}: {problem}", file=sys.stderr)
            failed = sum(map(bool, problems))
            rows.append(Row(f"concurrent {name}", rounds, rounds - failed, failed))
    return rows
