"""No process outlives the one that started it, however that ended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_run import ROOT

PATIENCE = 20  # seconds until a process that lives counts as left behind

# A main process whose child says its number and then sleeps.
LAUNCHER = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", sys.argv[1]]).wait()
"""
RANK = """
import os, time
from utils.processes import end_with_launcher
end_with_launcher()
print(os.getpid(), flush=True)
time.sleep(600)
"""
LATE_RANK = """
import os, time
from utils.processes import end_with_launcher
print(os.getpid(), flush=True)
time.sleep(1)  # as imports take
end_with_launcher()
time.sleep(600)
"""
# Loader workers that are busy when their main process is killed: one reads, one has a batch that
# nobody takes.
LOADER = """
import os, time
from torch.utils.data import DataLoader
from datasets.multitask import _worker_options

class Slow:
    def __len__(self):
        return 9
    def __getitem__(self, index):
        print(os.getpid(), flush=True)
        time.sleep(600)

if __name__ == "__main__":
    next(iter(DataLoader(Slow(), **_worker_options(2))))
"""


def is_running(process: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def left_behind(command: list[str], count: int) -> list[int]:
    """Kill a command once `count` of its processes have said their number; those that stay."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    main = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert main.stdout is not None
    children = [int(main.stdout.readline()) for _ in range(count)]
    assert all(map(is_running, children))
    main.send_signal(signal.SIGKILL)
    main.wait()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and any(map(is_running, children)):
        time.sleep(0.05)
    stayed = [child for child in children if is_running(child)]
    for child in stayed:
        os.kill(child, signal.SIGKILL)
    return stayed


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
@pytest.mark.parametrize("rank", [RANK, LATE_RANK], ids=["running", "starting"])
def test_a_rank_ends_with_its_launcher(rank):
    assert left_behind([sys.executable, "-c", LAUNCHER, rank], 1) == []


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_loader_workers_end_with_the_main_process(tmp_path):
    script = tmp_path / "loader.py"
    script.write_text(LOADER)
    assert left_behind([sys.executable, str(script)], 2) == []
