"""The launcher ends with one line and an exit code."""

import signal
import socket

import pytest

from tools import launch
from utils.termination import EXIT_CODE


@pytest.fixture(autouse=True)
def _signals():
    """Restores the handlers that torchrun replaces."""
    numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def launched(tmp_path):
    """Run a script in two ranks: `launched(text)` gives the exit code."""

    def call(text: str) -> int:
        script = tmp_path / "script.py"
        script.write_text(text)
        return launch.main(["--standalone", "--nproc_per_node=2", str(script)])

    return call


def test_a_sound_run_ends_with_0(launched, tmp_path):
    assert launched(f"import os; open(r'{tmp_path}/' + os.environ['RANK'], 'w')") == 0
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1", "script.py"}


def test_preempted_ranks_hand_on_their_exit_code(launched):
    assert launched(f"import sys; sys.exit({EXIT_CODE})") == EXIT_CODE


def test_failed_ranks_are_listed(launched):
    with pytest.raises(ValueError, match="rank 1 has failed with exit code 3"):
        launched("import os, sys, time; os.environ['RANK'] == '1' and sys.exit(3); time.sleep(60)")


def test_sigterm_reaches_the_ranks_and_is_no_failure(launched, tmp_path):
    script = """
import os, signal, sys, time
def leave(*_):
    open(r'{folder}/' + os.environ["RANK"], "w")
    sys.exit(75)
signal.signal(signal.SIGTERM, leave)
open(r'{folder}/ready' + os.environ["RANK"], "w")
while not all(os.path.exists(r'{folder}/ready' + rank) for rank in "01"):
    time.sleep(0.01)
if os.environ["RANK"] == "0":
    os.kill(os.getppid(), signal.SIGTERM)
time.sleep(60)
"""
    assert launched(script.replace("{folder}", str(tmp_path))) == EXIT_CODE
    assert {"0", "1"} <= {path.name for path in tmp_path.iterdir()}


def test_hosts_that_stay_away_are_one_line():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    rendezvous = ["--nnodes=2", "--rdzv_backend=c10d", f"--rdzv_endpoint=127.0.0.1:{port}"]
    with pytest.raises(ValueError, match="have not all come in time"):
        launch.main([*rendezvous, "--rdzv_conf=join_timeout=1,is_host=1", "script.py"])
    with pytest.raises(ValueError, match="no connection to the other hosts"):
        launch.main([*rendezvous, "--rdzv_conf=read_timeout=1,is_host=0", "script.py"])
