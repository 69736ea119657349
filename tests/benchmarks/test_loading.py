"""The rate of the loader, and the cores that follow from it."""

import sys
from collections import Counter

import pytest
from small_run import DATA, ROOT, TRAIN

from benchmarks import loading
from benchmarks.loading import cores, sample_keys, seconds_per_sample, training_process
from datasets import build_dataset
from utils.files import read_json


@pytest.fixture
def sets(monkeypatch):
    monkeypatch.chdir(ROOT)
    return [build_dataset(path, 32, DATA) for path in TRAIN]


def test_every_sample_is_read_equally_often_and_never_twice_alike(sets):
    keys = [key for key, _ in zip(sample_keys(sets[0]), range(3 * len(sets[0])), strict=False)]
    assert set(Counter(index for index, _ in keys).values()) == {3}
    assert len(set(keys)) == len(keys)


def test_decoding_is_told_from_transforms(sets, monkeypatch):
    """A clock that only decoding and transforms turn forward."""
    dataset, now = sets[0], [0.0]
    read, make = type(dataset).read.__func__, type(dataset)._training_sample

    def slow_read(cls, item):
        now[0] += 2.0
        return read(cls, item)

    def slow_make(self, *key):
        now[0] += 5.0
        return make(self, *key)

    monkeypatch.setattr(type(dataset), "read", classmethod(slow_read))
    monkeypatch.setattr(type(dataset), "_training_sample", slow_make)
    parts = seconds_per_sample(dataset, 4, clock=lambda: now[0])
    assert parts == {"decode": 2.0, "transform": 5.0}


def test_cores_prepare_what_gpus_take():
    # 8 GPUs take 64 samples of each set in 2 seconds; one takes a core 0.1 s, the other 0.3 s.
    assert cores({"a": 0.1, "b": 0.3}, gpus=8, batch_size=8, step=2.0) == pytest.approx(12.8)


@pytest.mark.slow
def test_workers_leave_little_to_the_training_process(sets):
    row = training_process(sets, 1, 1, 2)
    assert (row["workers"], row["samples per batch"]) == (1, 3)
    assert row["samples per second"] > 0


def test_figures_of_the_small_data(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(loading, "training_process", lambda *_: {"workers": 0})
    options = ["--data_root", str(DATA), "--data_cfg_paths", *TRAIN, "--samples", "2"]
    argv = ["loading", *options, "--side", "32", "--json", str(tmp_path / "figures.json")]
    monkeypatch.setattr(sys, "argv", argv)
    loading.main()
    one_core, needed, _ = (r["rows"] for r in read_json(tmp_path / "figures.json")["reports"])
    assert [row["data set"] for row in one_core] == ["SCUT-EnsText", "Tampered-IC13", "TextSeg"]
    whole = sum(row["decode, ms"] + row["transform, ms"] for row in one_core)
    assert needed[0]["8 GPU"] == pytest.approx(8 * 8 * whole / 1620)
    assert needed[0]["8 GPU"] == pytest.approx(8 * needed[0]["1 GPU"])
    assert "samples per second and core" in capsys.readouterr().out
