"""Processes of a launch: how they learn who they are, and how they meet."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from upocr.inputs import Input
from upocr.launch import PLAN, Launch
from upocr.plan import RUN_FOLDER, make_plan


def test_the_environment_of_torchrun():
    torchrun = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}
    assert Launch.from_environment(7, torchrun) == Launch(5, 8, 4, 7)
    assert Launch.from_environment(7, {"RANK": "0", "WORLD_SIZE": "2"}) == Launch(0, 2, 1, 7)
    assert Launch.from_environment(7, {}) == Launch(timeout=7)
    assert Launch.from_environment(7, {"WORLD_SIZE": "2"}) == Launch(timeout=7)


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("-1", "2"), ("a", "2"), ("0", "")])
def test_an_environment_that_does_not_fit(rank, size):
    with pytest.raises(ValueError, match=f"RANK is '{rank}', WORLD_SIZE '{size}'"):
        Launch.from_environment(7, {"RANK": rank, "WORLD_SIZE": size})


def test_processes_of_a_host_share_its_cores(monkeypatch):
    monkeypatch.setattr("upocr.launch.num_cores", lambda: 12)
    assert Launch().num_threads(0) == 0  # the choice of the back end
    assert Launch(size=4, local_size=4).num_threads(0) == 3
    assert Launch(size=64, local_size=64).num_threads(0) == 1
    assert Launch(size=4, local_size=4).num_threads(7) == 7


def test_all_processes_receive_the_plan(tmp_path):
    stale = tmp_path / RUN_FOLDER
    stale.mkdir()
    (stale / PLAN).write_text(json.dumps({"tokens": {"1": "x", "2": "y"}, "settings": {}}))
    plan = make_plan(tmp_path, [Input(Path("a.png"))], 3)
    with ThreadPoolExecutor(3) as threads:
        joined = [threads.submit(Launch(rank, 3).join, tmp_path, {"a": 1}) for rank in (1, 2)]
        threads.submit(Launch(0, 3).publish, tmp_path, plan, {"a": 1}).result()
        assert [each.result() for each in joined] == [plan, plan]
    assert [path.name for path in stale.iterdir()] == [PLAN]


def test_a_process_with_other_weights_is_told(tmp_path):
    plan = make_plan(tmp_path, [], 2)
    with ThreadPoolExecutor(1) as thread:
        joined = thread.submit(Launch(1, 2).join, tmp_path, {"weights": "b"})
        Launch(0, 2).publish(tmp_path, plan, {"weights": "a"})
        with pytest.raises(ValueError, match="process 1 has other options or other weights"):
            joined.result()


def test_waiting_ends(tmp_path):
    with pytest.raises(ValueError, match=r"process 1 of 2 has not come to .* within 0 s"):
        Launch(0, 2, timeout=0).publish(tmp_path, make_plan(tmp_path, [], 2), {})
    with pytest.raises(ValueError, match=r"process 0 of 2 has not come to .* within 0 s"):
        Launch(1, 2, timeout=0).join(tmp_path, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [FileNotFoundError, FileExistsError])
def test_process_0_may_remove_the_folder_while_another_one_says_hello(tmp_path, monkeypatch, error):
    """It removes what earlier runs have left, and `mkdir` and `rmdir` race."""
    mkdir, calls = Path.mkdir, []

    def racing(self, *arguments, **options):
        calls.append(self)
        if len(calls) == 1:
            raise error(self)
        mkdir(self, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", racing)
    plan = make_plan(tmp_path, [], 2)
    with ThreadPoolExecutor(1) as thread:
        joined = thread.submit(Launch(1, 2).join, tmp_path, {})
        Launch(0, 2, timeout=10).publish(tmp_path, plan, {})
        assert joined.result() == plan
    assert len(calls) > 1
