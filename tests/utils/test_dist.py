"""Choice of device and mixed precision, and the single-process case."""

import pytest
import torch

from utils import dist


def test_auto_takes_what_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert dist.select_device("auto").type == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert dist.select_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert dist.select_device("auto") == torch.device("cuda:3")
    assert dist.select_device("cuda:1") == torch.device("cuda:1")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", "unknown device 'gpu'"),
        ("meta", "unknown device 'meta'"),
        ("cuda", "not available"),
        ("cuda:x", "unknown device"),
    ],
)
def test_devices_that_are_not_there(monkeypatch, name, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=message):
        dist.select_device(name)


def test_gpu_number_out_of_range(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="2 GPUs are visible"):
        dist.select_device("cuda:2")


@pytest.mark.parametrize(
    ("device", "name", "expected"),
    [
        ("cuda", None, torch.float16),
        ("cuda", "bfloat16", torch.bfloat16),
        ("cpu", None, torch.bfloat16),
        ("cpu", "bfloat16", torch.bfloat16),
    ],
)
def test_type_of_mixed_precision(device, name, expected):
    assert dist.amp_dtype(torch.device(device), name) == expected


@pytest.mark.parametrize("name", ["float16", "int8"])
def test_impossible_mixed_precision(name):
    with pytest.raises(ValueError, match=name):
        dist.amp_dtype(torch.device("cpu"), name)


def test_one_process_needs_no_group():
    assert (dist.rank(), dist.world_size(), dist.is_main_process()) == (0, 1, True)
    assert dist.all_gather_objects({"a": 1}) == [{"a": 1}]
    x = torch.tensor([1, 2])
    total = dist.all_reduce_sum(x)
    assert torch.equal(total, x)
    assert total.data_ptr() != x.data_ptr()


def test_generator_state_round_trip():
    device = torch.device("cpu")
    state = dist.rng_state(device)
    first = torch.rand(3)
    dist.set_rng_state(state, device)
    assert torch.equal(torch.rand(3), first)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("[pair.cc:534] Connection closed by peer [127.0.0.1]:1"), "lost another"),
        (torch.distributed.DistBackendError("NCCL error"), "lost another"),
        (RuntimeError("Timed out waiting 1000ms for recv operation"), "does not answer"),
        (torch.distributed.DistStoreError("wait timeout after 1000ms"), "does not answer"),
        (RuntimeError("shapes do not match"), None),
    ],
)
def test_failures_of_other_processes_are_told_from_bugs(error, expected):
    found = dist.peer_failure(error)
    assert found is None if expected is None else expected in (found or "")


@pytest.mark.slow
def test_wrapped_model_is_the_model():
    model = torch.nn.Linear(2, 2)
    assert dist.wrap_model(model, torch.device("cpu")) is model
    compiled = dist.wrap_model(model, torch.device("cpu"), compiled=True)
    assert all(a is b for a, b in zip(model.parameters(), compiled.parameters(), strict=True))


def test_tf32_is_for_products_of_gpus_alone():
    switches = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [switch.allow_tf32 for switch in switches]
    a, b = torch.rand(2, 64, 64)
    product = a @ b
    try:
        dist.allow_tf32()
        assert all(switch.allow_tf32 for switch in switches)
        assert torch.equal(a @ b, product)
    finally:
        for switch, allowed in zip(switches, before, strict=True):
            switch.allow_tf32 = allowed


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("RANK", "a", "RANK is 'a', expected a number, as torchrun sets it"),
        ("WORLD_SIZE", "", "WORLD_SIZE is '', expected a number, as torchrun sets it"),
        ("MASTER_PORT", "-1", "MASTER_PORT is '-1', expected a number, as torchrun sets it"),
        ("RANK", "2", "RANK is 2, expected less than WORLD_SIZE, which is 2"),
    ],
)
def test_an_environment_that_is_none_of_torchrun_is_named(monkeypatch, name, value, message):
    right = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for key, each in (right | {name: value}).items():
        monkeypatch.setenv(key, each)
    with pytest.raises(ValueError, match=f"^{message}$"):
        dist.init_process_group(torch.device("cpu"), 1.0)
