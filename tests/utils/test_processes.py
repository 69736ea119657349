"""No process outlives the one that started it, however that ended."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from small_run import ROOT

from utils.processes import map_in_processes

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

# A fork server that still imports, and a worker that does: neither watches anything yet.
IMPORTING_SERVER = """
import multiprocessing, os, time
from multiprocessing import forkserver

os.environ["MAIN"] = str(os.getpid())
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["utils.fork_server", "slow"])
forkserver.ensure_running()
time.sleep(600)
"""
IMPORTING_WORKER = """
from torch.utils.data import DataLoader
from datasets.multitask import _worker_options
import slow

if __name__ == "__main__":
    next(iter(DataLoader(slow.Slow(), **_worker_options(1))))
"""
SLOW = """
import os, time

class Slow:
    def __len__(self):
        return 9

if os.environ.setdefault("MAIN", str(os.getpid())) != str(os.getpid()):
    print(os.getpid(), flush=True)
    time.sleep(600)
"""


def is_running(process: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def left_behind(command: list[str], count: int, *paths: str) -> list[int]:
    """Kill a command once `count` of its processes have said their number; those that stay.

    paths: of further modules.
    """
    path = os.pathsep.join([str(ROOT), *paths])
    environment = os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    main = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert main.stdout is not None
    timer = threading.Timer(60, main.kill)  # a number that never comes must not be waited for
    timer.start()
    children = [int(main.stdout.readline()) for _ in range(count)]
    timer.cancel()
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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")
@pytest.mark.parametrize("script", [IMPORTING_SERVER, IMPORTING_WORKER], ids=["server", "worker"])
def test_processes_that_are_still_importing_end_with_the_main_process(tmp_path, script):
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "main.py").write_text(script)
    assert left_behind([sys.executable, str(tmp_path / "main.py")], 1, str(tmp_path)) == []


# A worker that the system kills, as it does if memory runs out.
DEADLY = """
import os, signal, sys
sys.path.insert(0, "ROOT")

class Deadly:
    def __len__(self):
        return 9
    def __getitem__(self, index):
        if index == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"image": torch.zeros(3, 4, 4)}

def deadly(index):
    if index == 30:
        os.kill(os.getpid(), signal.SIGKILL)
    return index

if __name__ == "__main__":
    from utils.cli import run
    import torch
    CALL
else:
    import torch
"""
LOADING = """
    from datasets import evaluation_loader
    run(lambda: len(list(evaluation_loader(Deadly(), 1, num_workers=1))))
"""
MAPPING = """
    from utils.processes import map_in_processes
    run(lambda: len(list(map_in_processes(deadly, range(100), 2))))
"""
# Workers of a pool that are busy when the main process is killed.
POOL = r"""
import os, time
from utils.processes import map_in_processes

def work(item):
    os.write(1, f"{os.getpid()}\n".encode())  # at once, unlike `print`
    time.sleep(600)

list(map_in_processes(work, range(9), 2))
"""


@pytest.mark.slow
@pytest.mark.parametrize("call", [LOADING, MAPPING], ids=["loader", "pool"])
def test_a_killed_worker_is_one_line(tmp_path, call):
    script = tmp_path / "deadly.py"
    script.write_text(DEADLY.replace("ROOT", str(ROOT)).replace("CALL", call.strip()))
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("error: a ")
    assert "workers" in line


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_the_workers_of_a_pool_end_with_the_main_process():
    assert left_behind([sys.executable, "-c", POOL], 2) == []


def test_a_pool_keeps_the_order_and_passes_errors_on():
    assert list(map_in_processes(abs, [-3, 2, -1], 2, chunksize=2)) == [3, 2, 1]
    assert list(map_in_processes(abs, [-3, 2, -1], 0)) == [3, 2, 1]
    with pytest.raises(ValueError, match="invalid literal"):
        list(map_in_processes(int, ["1", "x"], 2))
