"""A few kills of real processes; `tests/soak/kills.py` does many."""

import os
import signal
import subprocess
import sys

import pytest
from small_run import ROOT
from soak.kills import Victim, survive, undisturbed

PATIENCE = 20  # seconds until a process that lives counts as left behind
SHORT = ["--epochs", "2", "--iter_per_epoch", "4", "--save_steps", "3"]
RESTART = """
import os, time
import torch
from utils import dist
restart, rank = dist.restarts(), int(os.environ["RANK"])
if restart and rank == 0:
    time.sleep(2)  # meanwhile, rank 1 finds the address that rank 0 had before
dist.init_process_group(torch.device("cpu"), 60)
dist.barrier()
if not restart:
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folders of undisturbed runs, by their number of processes."""
    folders = {processes: tmp_path_factory.mktemp("whole") for processes in (1, 2)}
    for processes, folder in folders.items():
        undisturbed(folder, processes, SHORT)
    return folders


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "number", "step"),
    [
        (Victim("main process", 1), signal.SIGKILL, 4),
        (Victim("all processes", 1, is_group=True), signal.SIGTERM, 2),
        pytest.param(
            *(Victim("one of two ranks", 2, is_rank=True), signal.SIGKILL, 3),
            marks=pytest.mark.long,
        ),
        pytest.param(
            *(Victim("one of two ranks", 2, is_rank=True), signal.SIGTERM, 6),
            marks=pytest.mark.long,
        ),
        (Victim("torchrun", 2), signal.SIGKILL, 5),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path, whole, victim, number, step):
    found = survive(
        tmp_path,
        victim,
        number,
        step=step,
        delay=0,
        expected=whole[victim.processes],
        patience=PATIENCE,
        options=SHORT,
    )
    assert found is None


@pytest.mark.slow
def test_a_restarted_rank_waits_for_no_process_of_the_attempt_before(tmp_path):
    script = tmp_path / "restart.py"
    script.write_text(RESTART)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    subprocess.run(
        [sys.executable, *launcher, "--max_restarts=1", str(script)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        timeout=100,
    )
