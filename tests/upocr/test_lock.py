"""One run at a time per folder, and a killed one holds nothing."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from small_run import COMMON, EVAL, ROOT, TRAINING

from upocr import prediction
from upocr.lock import LOCK, locked

HOLDER = """
import sys, time
from pathlib import Path
from upocr.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds `tmp_path / "out"`."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_the_holder_is_named(tmp_path, holder):
    expected = rf"out is in use by .process {holder.pid} on .*: wait for it, or choose another"
    with pytest.raises(ValueError, match=expected), locked(tmp_path / "out"):
        pass
    assert (tmp_path / "out" / LOCK).exists()


def test_a_killed_holder_holds_nothing(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "out" / LOCK).exists()  # nobody could remove it
    with locked(tmp_path / "out"):
        pass
    assert list((tmp_path / "out").iterdir()) == []


def test_one_process_holds_a_folder_once_at_a_time(tmp_path):
    with locked(tmp_path), pytest.raises(ValueError, match="in use by"), locked(tmp_path):
        pass
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path), locked(tmp_path / "another"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["another"]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(ValueError, match="a is a file, expected a folder"), locked(tmp_path / "a"):
        pass


def test_every_command_that_writes_results_holds_its_folder(
    command, checkpoint, tmp_path, holder, monkeypatch
):
    out = tmp_path / "out"
    evaluation = ["--eval", "true", "--resume", checkpoint, "--eval_data_cfg_path", EVAL[2]]
    for options in ([*TRAINING, "--epochs", "1"], [*COMMON, *evaluation]):
        with pytest.raises(ValueError, match=f"in use by .process {holder.pid} "):
            command(*options, "--output_dir", out)
    with pytest.raises(ValueError, match=f"in use by .process {holder.pid} "):
        prediction.main(["nothing.png", "--output_dir", str(out)])
    assert [path.name for path in out.iterdir()] == [LOCK]


def test_a_patient_run_takes_the_folder_when_its_holder_ends(tmp_path, holder):
    threading.Timer(0.3, holder.kill).start()
    with locked(tmp_path / "out", patience=60):
        assert holder.wait() == -signal.SIGKILL
