"""A run that was killed at any step, and finished by the next one, is like one run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_run import ROOT

PROGRAM = Path(__file__).with_name("killed_runs.py")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("size", "victim", "least"), [(1, 0, 50), (2, 0, 15), (2, 1, 5)])
def test_a_killed_run_is_finished_by_the_next_one(tmp_path, size, victim, least):
    """Two files of one page and one of two, results beside the inputs; the others end with it."""
    command = [sys.executable, PROGRAM, tmp_path, size, victim]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= least
