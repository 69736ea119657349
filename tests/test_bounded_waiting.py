"""Nothing waits forever: processes that are stopped or gone, and shared memory that is full."""

import os
import signal
import socket
import subprocess
import sys

import pytest
from small_run import DATA, ROOT, TRAIN, TRAINING

PATIENCE = 120  # seconds that a test waits for what comes within seconds on an idle machine
WITH_OWN_SHM = ("unshare", "--map-root-user", "--mount", "sh", "-c")
# argv: what to do with a worker, and the time-out of the loader.
LOADERS = """
import os, signal, sys, time
from datasets import MultiTaskLoader, build_dataset, evaluation_loader
from datasets.textseg import TextSeg

class Disturbed(TextSeg):
    def __getitem__(self, key):
        if sys.argv[1] == "hang":
            time.sleep(600)
        if sys.argv[1] == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(key)

if __name__ == "__main__":
    timeout, found = float(sys.argv[2]), []
    for split in ("train", "eval"):
        dataset = build_dataset(f"data_configs/{split}/textseg.yaml", 512, "tests/data")
        dataset.__class__ = Disturbed
        if split == "train":
            loader = MultiTaskLoader([dataset], 1, 0, 2, timeout=timeout)
        else:
            loader = evaluation_loader(dataset, 1, 2, timeout=timeout)
        try:
            next(loader)
            print("a batch", flush=True)
        except OSError as error:
            print(error, flush=True)
"""


def loaders(folder, action, timeout, *prefix):
    """What a training and an evaluation loader with two workers give: a batch or an error."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    script = folder / "loaders.py"
    script.write_text(LOADERS)
    command = [sys.executable, str(script), action, str(timeout)]
    if prefix:
        command = [*WITH_OWN_SHM, f'{prefix[0]} && exec "$@"', "sh", *command]
    found = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("action", "timeout", "expected"),
    [
        pytest.param("hang", 2, "a loader worker hangs, see --timeout", marks=pytest.mark.long),
        ("die", 60, "a loader worker was killed: if memory is short, lower --num_workers"),
        ("read", 60, "a batch"),
    ],
)
def test_loader_workers_that_hang_or_die_are_one_line(tmp_path, action, timeout, expected):
    lines = loaders(tmp_path, action, timeout)
    assert len(lines) == 2
    assert all(line.startswith(expected) for line in lines), lines


@pytest.mark.slow
def test_full_shared_memory_is_one_line(tmp_path):
    mount = "mount -t tmpfs -o size=64k tmpfs /dev/shm"
    if subprocess.run([*WITH_OWN_SHM, mount], capture_output=True, check=False).returncode:
        pytest.skip("needs a mount namespace, which is not permitted here")
    lines = loaders(tmp_path, "read", 60, mount)
    assert len(lines) == 2
    assert all(line.startswith("shared memory (/dev/shm) is full: lower") for line in lines), lines


@pytest.mark.slow
def test_a_stopped_rank_ends_the_others_with_one_line(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [*TRAINING, "--vgg16_weights", "none", "--data_cfg_paths", TRAIN[0], "--timeout", "5"]
    options += ["--data_root", str(DATA), "--epochs", "1", "--iter_per_epoch", "100000"]
    ranks = [
        subprocess.Popen(
            [sys.executable, "main.py", *options, "--output_dir", str(tmp_path)],
            cwd=ROOT,
            env=os.environ
            | {"RANK": str(rank), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
            | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
            stdout=subprocess.PIPE if rank == 0 else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        assert ranks[0].stdout is not None
        next(line for line in ranks[0].stdout if "epoch 1 [2/" in line)
        ranks[1].send_signal(signal.SIGSTOP)
        _, error = ranks[0].communicate(timeout=PATIENCE)
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()
    assert ranks[0].returncode == 2
    assert error.startswith("error: another process does not answer, see --timeout")
    assert len(error.splitlines()) == 1
