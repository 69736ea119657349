"""Several processes share a run: the same bytes as one, and nothing is lost with a process."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_run import ROOT

from upocr.plan import RUN_FOLDER

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Eight pictures, some of them larger than a window."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for n in range(8):
        pixels = rng.integers(0, 256, (20 + 15 * n, 70, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{n}.png")
    return folder


def command(pictures: Path, weights: Path, out: Path, *options: str) -> list[str]:
    """Arguments of predict.py."""
    given = [pictures, "--weights", weights, "--output_dir", out, "--device", "cpu"]
    return [*map(str, given), "--num_threads", "1", *options]


def contents(folder: Path) -> dict[str, object]:
    """Files of results, and records without their times."""
    files: dict[str, object] = {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name != "results.json"
    }
    records = json.loads((folder / "results.json").read_text())
    for each in (*records, *(page for record in records for page in record["pages"])):
        each.pop("seconds")
    return files | {"results.json": records}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.long
def test_two_hosts_write_the_same_bytes_as_one_process(pictures, weights, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    arguments = ["predict.py", *command(pictures, weights, one)]
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)
    master = ["--master_addr", "127.0.0.1", "--master_port", str(free_port())]
    hosts = [
        subprocess.Popen(
            [
                *(*TORCHRUN, "--nnodes", "2", "--node_rank", str(node), "--nproc_per_node", "1"),
                *(*master, "predict.py", *command(pictures, weights, two)),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for node in range(2)
    ]
    answers = [host.communicate() for host in hosts]
    assert [host.returncode for host in hosts] == [0, 0], answers
    assert answers[0][0] == f"8 of 8 images done, listed in {two}/results.json\n"
    assert answers[1][0] == ""
    assert "images: 100%" in answers[0][1]
    assert "images:" not in answers[1][1]
    assert contents(two) == contents(one)


SLOW = """
import os, sys, time
from killed_runs import Counted, Inverter
from upocr import prediction

class Slow(Inverter):
    def predict(self, images, tasks):
        time.sleep(float(os.environ["DELAY"]))
        return super().predict(images, tasks)

os.environ["CALLS"] = os.devnull
prediction.load_model = lambda args, **options: Counted(Slow())
sys.exit(prediction.main(sys.argv[1:]))
"""


def start(rank: int, size: int, delay: float, *arguments: object) -> subprocess.Popen:
    """One process of a run without PyTorch, `delay` seconds per window."""
    environment = {"RANK": str(rank), "WORLD_SIZE": str(size), "DELAY": str(delay)}
    environment["PYTHONPATH"] = f"{ROOT}:{Path(__file__).parent}"
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, *map(str, arguments)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def errors(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("error: ")]


def test_what_a_lost_process_took_is_done_by_the_next_run(pictures, tmp_path):
    out, expected = tmp_path / "out", tmp_path / "expected"
    arguments = [pictures, "--task", "all", "--overwrite", "false", "--output_dir"]
    alone = start(0, 1, 0, *arguments, expected)
    alone.communicate()
    assert alone.returncode == 0
    leader, lost = start(0, 2, 0.01, *arguments, out), start(1, 2, 600, *arguments, out)
    claims = out / RUN_FOLDER
    while len(list(claims.glob("*/claims/*"))) < 8:  # the leader has done what it can
        assert leader.poll() is None, leader.communicate()
        time.sleep(0.05)
    lost.send_signal(signal.SIGKILL)
    lost.communicate()
    printed, problems = leader.communicate()
    assert leader.returncode == 1
    left = errors(problems)
    assert len(left) in (1, 2)  # the one that it worked on, and the one that it had read
    assert all("not done, its process was lost; run again with --ov" in line for line in left)
    assert printed.startswith(f"{8 - len(left)} of 8 images done")
    both = [start(rank, 2, 0, *arguments, out) for rank in range(2)]
    answers = [each.communicate() for each in both]
    assert [each.returncode for each in both] == [0, 0], answers
    assert contents(out) == contents(expected)


def test_errors_of_all_processes_are_reported_once(pictures, tmp_path):
    for n in (1, 4, 6):
        (pictures / f"{n}.png").write_text("no picture")
    arguments = [pictures, "--task", "all", "--output_dir", tmp_path / "out"]
    both = [start(rank, 2, 0.02, *arguments) for rank in range(2)]
    (printed, problems), others = (each.communicate() for each in both)
    assert [each.returncode for each in both] == [1, 0]  # torchrun ends all if one fails early
    assert printed.startswith("5 of 8 images done")
    assert len(errors(problems)) == 3
    assert others == ("", "")


def test_a_process_alone_says_who_is_missing(pictures, tmp_path):
    alone = start(0, 2, 0, pictures, "--output_dir", tmp_path / "out", "--join_timeout", "1")
    problems = alone.communicate()[1]
    assert "process 1 of 2 has not come" in problems
    assert list((tmp_path / "out").iterdir()) == []
